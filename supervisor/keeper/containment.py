"""The cgroup that programs, workers and router live in, where somebody holds one for the fleet.

    NAME.service            keeper and supervisor: may be killed, restarted, replaced
    NAME-sessions.service   <runtime_dir>/cgroup says where it is; in it `fleet`, and there everything else

Facts. systemd starts no process in a delegated unit whose cgroup still has children with controllers (EBUSY, exit code
219): a unit that keeps its sessions in its own cgroup does not come back once they have limits. In the unified
hierarchy a cgroup with controllers for its children has no processes itself, hence `fleet`, for what the unit itself
runs, too. With cgroups of version 1
systemd follows its units in a hierarchy without controllers (name=systemd), and may have version 2 beside it: a process
enters all that are there.

Trade-off. Who cannot enter stays with the keeper, and runs: containment that is lost costs order, not sessions.
"""

import contextlib
import os
from collections.abc import Iterator

from supervisor.keeper.log import log

RECORD = "cgroup"
_LEAF = "fleet"
_ROOT = "/sys/fs/cgroup"
_PROCS = "cgroup.procs"
_MAX_BYTES = 1 << 14


def find_containment(runtime_dir: str) -> tuple[str, ...]:
    """Files to write 0 to. Empty: nobody holds a cgroup for us, or it is not ours to enter."""
    try:
        with open(f"{runtime_dir}/{RECORD}", encoding="utf-8", errors="surrogateescape") as record:
            lines = record.read(_MAX_BYTES).splitlines()
    except OSError:
        return ()
    unified = _ROOT if os.path.exists(f"{_ROOT}/cgroup.controllers") else f"{_ROOT}/unified"
    return tuple(file for directory in directories(lines, unified) if (file := _made(directory)))


def directories(lines: list[str], unified: str) -> Iterator[str]:
    """Of a /proc/PID/cgroup, those that systemd delegates: in its own hierarchy, and in the unified one."""
    roots = {"": unified, "name=systemd": f"{_ROOT}/systemd"}
    for line in lines:
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers in roots and path.strip("/"):
            yield roots[controllers] + path


def _made(directory: str) -> str:
    """With everything that is in there. "": it is gone, or it is not ours."""
    leaf = f"{directory}/{_LEAF}"
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(leaf)
        with open(f"{directory}/{_PROCS}") as processes:
            for pid in processes.read().split():
                _write(f"{leaf}/{_PROCS}", pid.encode())
    except FileNotFoundError:
        return ""  # the unit is stopped
    except OSError as error:
        log(f"{directory} is not for us, sessions stay in the cgroup of ringvisord: {error}")
        return ""
    return f"{leaf}/{_PROCS}"


def enter(files: tuple[str, ...]) -> None:
    """In a freshly forked child, which has one thread."""
    for file in files:
        with contextlib.suppress(OSError):
            _write(file, b"0")


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
