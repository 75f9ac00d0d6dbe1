"""A process that is not our child: it ends when it is told to, and is reaped by its parent when that is told to."""

import os
import select
import signal

from childproc.exit_status import is_dead
from childproc.identity import identify, open_pidfd


class Stranger:
    """`how`: an exit code, or the name of a signal."""

    def __init__(self, how: str) -> None:
        self.how = how
        self._said, childs_end = os.pipe()
        parents_end, self._reap = os.pipe()
        told, self._tell = os.pipe()
        self.parent = os.fork()
        if self.parent == 0:
            pid = os.fork()
            if pid == 0:
                os.close(self._tell)
                os.read(told, 1)
                if how.isdigit():
                    os._exit(int(how))
                signal.signal(signal.SIGABRT, signal.SIG_DFL)
                os.kill(os.getpid(), signal.Signals[how])
            os.write(childs_end, b"%d" % pid)
            os.read(parents_end, 1)
            os.waitpid(pid, 0)
            os.write(childs_end, b"reaped")
            os.read(parents_end, 1)
            os._exit(0)
        for fd in (childs_end, parents_end, told):
            os.close(fd)
        self.pid = int(os.read(self._said, 32))
        self.identity = identify(self.pid)
        self.pidfd = open_pidfd(self.identity)

    def end(self) -> None:
        os.write(self._tell, b".")
        select.select([self.pidfd], [], [])

    def reap(self) -> None:
        os.write(self._reap, b".")
        assert os.read(self._said, 32) == b"reaped"

    def close(self) -> None:
        if not is_dead(self.pidfd):
            os.kill(self.pid, signal.SIGKILL)
        os.kill(self.parent, signal.SIGKILL)
        os.waitpid(self.parent, 0)
        for fd in (self._said, self._reap, self._tell, self.pidfd):
            os.close(fd)


def knows_exit_of_the_reaped() -> bool:
    """PIDFD_INFO_EXIT."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor)) >= (6, 15)
