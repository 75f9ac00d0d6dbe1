"""Our descendants, all of them: also those that a tool daemonised.

The command makes itself a child subreaper, so whoever loses its parent below us becomes our child. `sweep` kills and
reaps until nobody is left: after each run, and at Ctrl-C. CPU of the family is what we reaped plus what the living
have used; CPU of others is that of every user process that is not ours (kernel threads are left out: those that move
terminal bytes work for us)."""

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import installed

PR_SET_CHILD_SUBREAPER = 36
PF_KTHREAD = 0x00200000
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SWEEP_MAX_S = 20.0


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    kernel_thread: bool
    cpu_s: float  # its own
    reaped_cpu_s: float  # that of the children it has waited for


def adopt_orphans() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def spawn(argv: Sequence[str], directory: Path, **extra: str) -> subprocess.Popen[bytes]:
    """Start a tool, quiet and in its own session; `sweep` ends it."""
    with (directory / "tool.err").open("ab") as err:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
            cwd=directory,
            env=installed.environment(**extra),
            start_new_session=True,
        )


def process(pid: int) -> Process | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return Process(pid, int(fields[1]), bool(int(fields[6]) & PF_KTHREAD), own / TICKS_PER_S, reaped / TICKS_PER_S)


def census() -> dict[int, Process]:
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return {found.pid: found for pid in pids if (found := process(pid))}


def descendants(everyone: Mapping[int, Process] | None = None) -> list[int]:
    everyone = census() if everyone is None else everyone
    children: dict[int, list[int]] = {}
    for one in everyone.values():
        children.setdefault(one.parent, []).append(one.pid)
    found, front = [], [os.getpid()]
    while front:
        front = [child for pid in front for child in children.get(pid, ())]
        found += front
    return found


def command_line(argv: Sequence[str]) -> bytes:
    """As /proc/PID/cmdline shows it."""
    return b"".join(os.fsencode(word) + b"\0" for word in argv)


def command_line_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def running(argv: Sequence[str]) -> list[int]:
    """Our descendants that execute exactly this."""
    wanted = command_line(argv)
    return [pid for pid in descendants() if command_line_of(pid) == wanted]


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds used so far, by our descendants and by everybody else."""

    family_s: float
    others_s: float

    @classmethod
    def now(cls) -> "Cpu":
        _reap()
        everyone = census()
        ours = set(descendants(everyone))
        reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
        living_s = sum(exact_cpu_s(everyone[pid]) + everyone[pid].reaped_cpu_s for pid in ours)
        strangers = (p for p in everyone.values() if not p.kernel_thread and p.pid not in ours and p.pid != os.getpid())
        return cls(reaped.ru_utime + reaped.ru_stime + living_s, sum(p.cpu_s + p.reaped_cpu_s for p in strangers))


def exact_cpu_s(one: Process) -> float:
    """From the scheduler's nanoseconds, where the clock ticks of `stat` would lose up to 10 ms for each process."""
    try:
        threads = [int(file.read_text().split()[0]) for file in Path(f"/proc/{one.pid}/task").glob("*/schedstat")]
    except (FileNotFoundError, ProcessLookupError):
        threads = []
    return sum(threads) / 1e9 if threads else one.cpu_s


def sweep() -> int:
    """Kill and reap every descendant; how many had to be killed."""
    killed: set[int] = set()
    deadline_s = time.monotonic() + SWEEP_MAX_S
    while True:
        for pid in (left := descendants()):
            try:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            except ProcessLookupError:
                pass
        _reap()
        if not left:
            return len(killed)
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"these processes cannot be ended: {left}")
        time.sleep(0.002)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
