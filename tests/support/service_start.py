"""Starts a command as systemd starts a main process: with what it keeps for it behind fd 2.

    python -m tests.support.service_start HOLDER_PID FILE COMMAND…

FILE has a line `fd name` for each that the process HOLDER_PID keeps.
"""

import ctypes
import os
import sys

_SYS_PIDFD_GETFD = 438
_FIRST_FD = 3
_SAFE_FD = 200


def main() -> None:
    holder, file, *command = sys.argv[1:]
    with open(file) as lines:
        kept = [line.split() for line in lines]
    pidfd = os.pidfd_open(int(holder))
    taken = [ctypes.CDLL(None).syscall(_SYS_PIDFD_GETFD, pidfd, int(fd), 0) for fd, _ in kept]
    out_of_the_way = [os.dup2(fd, _SAFE_FD + index) for index, fd in enumerate(taken)]
    for index, fd in enumerate(out_of_the_way):
        os.dup2(fd, _FIRST_FD + index)
    os.closerange(_FIRST_FD + len(taken), _SAFE_FD + len(taken) + 1)
    os.environ["SYSTEMD_EXEC_PID"] = str(os.getpid())
    if kept:
        names = ":".join(name for _, name in kept)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(kept)), LISTEN_FDNAMES=names)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
