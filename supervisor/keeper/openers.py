"""What a program gets as fds 0 to 2, and the ends that we keep of it.

Facts. A terminal's slave opened through TIOCGPTPEER needs no path, and is an open file of its own. As long as anybody
holds one, the master does not report EIO: so we hold none once the program is forked, and EIO tells the worker that the
last writer, leader or not, is gone. Opened without O_NOCTTY it could become the keeper's own controlling terminal. A
pipe is enlarged up to what fs.pipe-max-size and the user's soft limit allow. O_NONBLOCK belongs to the open file: ours
have it, the program's have not.

The kernel hands out the lowest free number: one close to the limit says that the table is nearly full, and what is left
is needed for reaping and restarting.
"""

import contextlib
import errno
import fcntl
import os
import resource
import struct
import termios
from collections.abc import Callable, Iterator

from msgspec import Struct

from childproc.job import PipeFds, PtyFds
from childproc.spec import Io, Phase, ProgramSpec

_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_SLAVE_MODE = 0o620
_SMALLEST_PIPE = 64 << 10
_RESERVED_FDS = 24


class OpenError(Exception):
    """Where an OSError of an opener belongs to."""

    def __init__(self, phase: Phase, error: OSError) -> None:
        super().__init__(phase, error)
        self.phase, self.error = phase, error


class Stdio(Struct, frozen=True):
    ours: PtyFds | PipeFds
    program: tuple[int, int, int]


@contextlib.contextmanager
def opened(spec: ProgramSpec) -> Iterator[Stdio]:
    """Closes the program's ends on leaving, and ours too if it is left by an exception."""
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as programs:
        opener = _open_terminal if spec.io is Io.PTY else _open_pipes
        with _failing_in(Phase.OPEN):
            stdio = opener(spec, _closing(ours), _closing(programs))
            _leave_some_room(max(stdio.program))
        if spec.uid is not None and spec.uid != os.geteuid():
            with _failing_in(Phase.CREDENTIALS):
                _give_to(spec.uid, stdio, spec.io)
        yield stdio
        ours.pop_all()


_Keep = Callable[[int], int]


def _open_terminal(spec: ProgramSpec, ours: _Keep, programs: _Keep) -> Stdio:
    master = ours(_open_master())
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    termios.tcsetwinsize(master, (spec.rows, spec.cols))
    slave = programs(fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    return Stdio(PtyFds(master), (slave, slave, slave))


def _open_master() -> int:
    try:
        return os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(errno.ENOSPC, "no terminal is left: see /proc/sys/kernel/pty/max") from error
        raise


def _open_pipes(spec: ProgramSpec, ours: _Keep, programs: _Keep) -> Stdio:
    stdin = _open_pipe(spec.pipe_bytes, programs, ours)
    stdout = _open_pipe(spec.pipe_bytes, ours, programs)
    stderr = _open_pipe(spec.pipe_bytes, ours, programs)
    our_ends = PipeFds(stdin[1], stdout[0], stderr[0])
    for fd in (our_ends.stdin, our_ends.stdout, our_ends.stderr):
        os.set_blocking(fd, False)
    return Stdio(our_ends, (stdin[0], stdout[1], stderr[1]))


def _open_pipe(size_bytes: int, keep_read_end: _Keep, keep_write_end: _Keep) -> tuple[int, int]:
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    keep_read_end(read_end)
    keep_write_end(write_end)
    _enlarge(write_end, size_bytes)
    return read_end, write_end


def _enlarge(pipe: int, size_bytes: int) -> None:
    while size_bytes >= _SMALLEST_PIPE:
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, size_bytes)
        except OSError:
            size_bytes //= 2
        else:
            return


def _give_to(uid: int, stdio: Stdio, io: Io) -> None:
    """So that the user's program may open /dev/tty, /dev/stdout and friends again. The terminal keeps its group."""
    for fd in set(stdio.program):
        os.fchown(fd, uid, -1)
        if io is Io.PTY:
            os.fchmod(fd, _SLAVE_MODE)


def _leave_some_room(fd: int) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if fd >= limit - _RESERVED_FDS:
        raise OSError(errno.EMFILE, f"{os.strerror(errno.EMFILE)}: all but {_RESERVED_FDS} of {limit} are in use")


def _closing(stack: contextlib.ExitStack) -> _Keep:
    def keep(fd: int) -> int:
        stack.callback(os.close, fd)
        return fd

    return keep


@contextlib.contextmanager
def _failing_in(phase: Phase) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OpenError(phase, error) from error
