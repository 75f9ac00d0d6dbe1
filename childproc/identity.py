"""Which process is meant: a pid alone may be somebody else's by the time that it is used.

A pid and a start time name one process for as long as this boot lasts. A pidfd that was opened before the start time
was compared is that process's for ever.
"""

import errno
import os

import msgspec


class Identity(msgspec.Struct, frozen=True):
    pid: int
    start_ticks: int  # field 22 of /proc/PID/stat


def identify(pid: int) -> Identity:
    """ProcessLookupError when there is none. A zombie is one still."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError(f"there is no process {pid}") from None
    return Identity(pid, int(fields[19]))


def open_pidfd(process: Identity) -> int:
    """-1: it is gone, and reaped; its pid may be in use again."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except (ProcessLookupError, OverflowError, ValueError):
        return -1
    except OSError as error:  # EINVAL: the number of a thread by now, or no number of a process at all
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return -1
        raise
    try:
        if identify(process.pid) == process:
            return pidfd
    except ProcessLookupError:
        pass
    os.close(pidfd)
    return -1


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
