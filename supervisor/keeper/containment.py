"""The cgroup that programs, workers and router live in, where somebody holds one for the fleet.

    NAME.service            keeper and supervisor: may be killed, restarted, replaced
    NAME-sessions.service   <runtime_dir>/cgroup says where it is; in it `fleet`, and there everything else

Facts. systemd starts no process in a delegated unit whose cgroup still has children with controllers (EBUSY, exit code
219): a unit that keeps its sessions in its own cgroup does not come back once they have limits. In the unified
hierarchy a cgroup with controllers for its children has no processes itself, hence `fleet`. With cgroups of version 1
systemd follows its units in a hierarchy without controllers (name=systemd), and may have version 2 beside it: a process
enters all that are there.

Trade-off. Who cannot enter stays with the keeper, and runs: containment that is lost costs order, not sessions.
"""

import contextlib
import os
from collections.abc import Iterator

RECORD = "cgroup"
_LEAF = "fleet"
_ROOT = "/sys/fs/cgroup"
_MAX_BYTES = 1 << 14


def find_containment(runtime_dir: str) -> tuple[str, ...]:
    """Files to write 0 to. Empty: nobody holds a cgroup for us, or it is not ours to enter."""
    try:
        with open(f"{runtime_dir}/{RECORD}", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(_MAX_BYTES).splitlines()
    except OSError:
        return ()
    return tuple(f"{leaf}/cgroup.procs" for directory in directories(lines) if (leaf := _made(directory)))


def directories(lines: list[str]) -> Iterator[str]:
    """Of a /proc/PID/cgroup, those that systemd delegates: its own hierarchy, and the unified one."""
    unified = _ROOT if os.path.exists(f"{_ROOT}/cgroup.controllers") else f"{_ROOT}/unified"
    roots = {"": unified, "name=systemd": f"{_ROOT}/systemd"}
    for line in lines:
        _, _, named = line.partition(":")
        controllers, _, path = named.partition(":")
        if controllers in roots and path.strip("/"):
            yield roots[controllers] + path


def _made(directory: str) -> str:
    """ "": there is none."""
    leaf = f"{directory}/{_LEAF}"
    with contextlib.suppress(FileExistsError):
        try:
            os.mkdir(leaf)
        except OSError:
            return leaf if os.access(f"{leaf}/cgroup.procs", os.W_OK) else ""
    return leaf


def enter(files: tuple[str, ...]) -> None:
    """In a freshly forked child, which is one process with one thread."""
    for file in files:
        with contextlib.suppress(OSError):
            fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, b"0")
            finally:
                os.close(fd)
