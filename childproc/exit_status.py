"""How a process ended that is not our child. Statuses are as wait(2) has them.

Facts. A pidfd is readable once its process is dead, and reports HUP once it was reaped. From then on PIDFD_GET_INFO
tells the exit status (Linux 6.15), to whoever has held the pidfd since before. Between the two there is a zombie, whose
status is the last field of /proc/PID/stat; but that is 0 for those who may not look, so that a 0 counts only if we may.
Whoever reaps it is init or a subreaper, and may take its time, or never do it.
"""

import contextlib
import fcntl
import os
import select
import signal
import struct

_PIDFD_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes)
_WITH_EXIT = 8
_INFO = struct.Struct("<Q52xi")  # mask, …, exit code
_CAP_SYS_PTRACE = 1 << 19


def is_dead(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def wait_reaped(pidfd: int, most_s: float) -> None:
    poll = select.poll()
    poll.register(pidfd, 0)  # HUP is always told
    poll.poll(most_s * 1000)


def exit_status(pid: int, pidfd: int) -> int | None:
    """Of a process that is dead. None: not known, or not yet."""
    reaped = status_when_reaped(pidfd)
    return reaped if reaped is not None else status_of_zombie(pid, pidfd)


def status_when_reaped(pidfd: int) -> int | None:
    info = bytearray(_INFO.pack(_WITH_EXIT, 0))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:  # an older kernel, or one that has forgotten
        return None
    mask, status = _INFO.unpack(info)
    return status if mask & _WITH_EXIT else None


def status_of_zombie(pid: int, pidfd: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        if fields[0] != b"Z" or not _is_unreaped(pidfd):
            return None
        status = int(fields[-1])
        return status if status or _may_look(pid) else None
    except (OSError, IndexError):
        return None


def _is_unreaped(pidfd: int) -> bool:
    """Then its pid was nobody else's when we looked."""
    with contextlib.suppress(PermissionError):
        try:
            signal.pidfd_send_signal(pidfd, 0)
        except ProcessLookupError:
            return False
    return True


def _may_look(pid: int) -> bool:
    own, its = _status("self"), _status(str(pid))
    if int(own["CapEff"], 16) & _CAP_SYS_PTRACE:
        return True
    return set(its["Uid"].split()) == {str(os.geteuid())} and set(its["Gid"].split()) == {str(os.getegid())}


def _status(process: str) -> dict[str, str]:
    with open(f"/proc/{process}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
