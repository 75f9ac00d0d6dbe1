"""What a test leaves behind: fds, children, threads, shared memory.

The test process is a subreaper: what a killed keeper or supervisor leaves running becomes its child, and is found. A
terminal needs no look of its own: it lives as long as an fd of ours or of a child.
"""

import contextlib
import ctypes
import gc
import os
import shutil
import signal
import threading
from dataclasses import dataclass

_PR_SET_CHILD_SUBREAPER = 36
SHARED_MEMORY = "/dev/shm"


def shared_memory_prefix() -> str:
    """Of everything that tests of this process put under /dev/shm."""
    return f"ringvisor-test-{os.getpid()}-"


def become_subreaper() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(frozen=True)
class Footprint:
    fds: frozenset[tuple[int, str]]
    children: frozenset[int]
    threads: frozenset[str]
    shared_memory: frozenset[str]


def footprint() -> Footprint:
    return Footprint(
        frozenset(_fds()),
        frozenset(children_of(os.getpid())),
        frozenset(thread.name for thread in threading.enumerate()),
        frozenset(name for name in os.listdir(SHARED_MEMORY) if name.startswith(shared_memory_prefix())),
    )


def leaks(before: Footprint) -> list[str]:
    after = footprint()
    if after != before:
        gc.collect()
        reap_the_dead(after.children - before.children)
        after = footprint()
    return [
        *(f"fd {fd} -> {what}" for fd, what in sorted(after.fds - before.fds)),
        *(f"child {_describe(pid)}" for pid in sorted(after.children - before.children)),
        *(f"thread {name}" for name in sorted(after.threads - before.threads)),
        *(f"{SHARED_MEMORY}/{name}" for name in sorted(after.shared_memory - before.shared_memory)),
    ]


def children_of(pid: int) -> list[int]:
    """Of all its threads, zombies included."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as children:
                found += map(int, children.read().split())
    return found


def descendants_of(pid: int) -> list[int]:
    return [found for child in children_of(pid) for found in (child, *descendants_of(child))]


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def reap_the_dead(pids: frozenset[int]) -> None:
    """Orphans that were handed to us and have ended are nobody's leak."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def reap_orphans() -> None:
    """Kill and collect every child that is left, wherever it came from."""
    while left := children_of(os.getpid()):
        kill_all(left)
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _fds() -> list[tuple[int, str]]:
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # the one that the listing itself used
            found.append((fd, os.readlink(f"/proc/self/fd/{fd}")))
    return found


def _describe(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/cmdline") as cmdline:
            return f"{stat.read()[:60]} {cmdline.read()[:80]!r}"
    except OSError:
        return str(pid)


def remove_shared(name: str) -> None:
    """What a ringvisord that was killed has left on tmpfs."""
    shutil.rmtree(f"{SHARED_MEMORY}/{name}", ignore_errors=True)
