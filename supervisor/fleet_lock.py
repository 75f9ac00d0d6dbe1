"""One ringvisord on one runtime directory.

Facts. An flock belongs to the open file, and a child that inherited it keeps it when its parent is gone: the programs
of a killed ringvisord would lock out the next one. A POSIX record lock belongs to the process, is not inherited by
fork, stays over exec, and the kernel tells who holds it; it is lost when the process closes any fd of that file, so
nobody else here opens it.
"""

import fcntl
import os
import struct

_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, pid


class FleetTakenError(Exception):
    pass


def lock_fleet(runtime_dir: str) -> int:
    """An fd to be kept open, also over a re-exec. FleetTakenError names the pid of who has it."""
    path = f"{runtime_dir}/lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _holder(fd)
        os.close(fd)
        raise FleetTakenError(
            f"ringvisord is running on {runtime_dir} already, with pid {holder}: "
            "stop it first (ringctl shutdown), or give this fleet another name or runtime_dir"
        ) from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)  # it is the pid file, too
    return fd


def _holder(fd: int) -> int:
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return int(struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, asked))[4])
