"""What runs between fork and exec of a session's program.

The child was forked by a keeper with one thread and nothing held, so it may run Python. It talks to the
keeper over its end of a SEQPACKET pair, the gate, which closes at exec:

    P            prepared: all that can be done before exec is done; wait for G
    G            from the keeper, which now knows pid and pidfd: exec. Closed instead: no keeper, so do not run
    E + error    this failed, in this phase, on this path
    closed       after P: exec'ed, unless /proc/PID/stat still says PF_FORKNOEXEC; before P: killed, never ran

The order of the steps is forced: what needs privilege or opens files comes before the credentials and the
limits; the directory comes after the credentials, because it is the user who must be able to enter it.
"""

import contextlib
import errno
import fcntl
import os
import resource
import signal
import termios
from collections.abc import Callable, Iterator
from typing import NoReturn

import msgspec

from childproc.fdtable import close_all_except
from childproc.spec import Io, Phase, ProgramSpec, StartError

PREPARED = b"P"
GO = b"G"
FAILED = b"E"

Checkpoint = Callable[[str], None]

_SETTABLE_SIGNALS = tuple(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_DEFAULT_PATH = b"/usr/local/bin:/usr/bin:/bin"
_PATH_MAX = 4096
_encode = msgspec.msgpack.Encoder().encode


def no_checkpoint(_name: str) -> None:
    """Tests pass one that kills the child where it stands."""


def become(
    spec: ProgramSpec, stdio: tuple[int, int, int], gate: int, checkpoint: Checkpoint = no_checkpoint
) -> NoReturn:
    """Turn this freshly forked child into the program. stdio and gate are numbers above 2."""
    phase = Phase.SESSION
    path = b""
    try:
        checkpoint("forked")

        # 1. Signals as a program expects them. Python ignores SIGPIPE and SIGXFSZ; that would survive exec.
        default_signals()

        # 2. Leader of its own session: its group can be signalled, and no terminal of ours is its own.
        os.setsid()
        if spec.io is Io.PTY:
            fcntl.ioctl(stdio[0], termios.TIOCSCTTY, 0)

        # 3. Fds 0 to 2 and nothing else. The gate closes at exec.
        phase = Phase.DESCRIPTORS
        for number, fd in enumerate(stdio):
            os.dup2(fd, number)
        close_all_except((0, 1, 2, gate))
        checkpoint("descriptors")

        # 4. Containment first: whatever happens from here on happens inside.
        phase = Phase.CGROUP
        for file in spec.cgroup_procs:
            path = os.fsencode(file)
            _write_file(path, b"0")

        # 5. Priorities, while we may still raise them.
        phase, path = Phase.PRIORITY, b""
        if spec.nice is not None:
            os.setpriority(os.PRIO_PROCESS, 0, spec.nice)
        if spec.oom_score_adj is not None:
            path = b"/proc/self/oom_score_adj"
            _write_file(path, b"%d" % spec.oom_score_adj)

        # 6. Limits, after the last file that we open: nofile may be 3.
        phase, path = Phase.LIMITS, b""
        for number, soft_hard in spec.rlimits.items():
            resource.setrlimit(number, soft_hard)
        checkpoint("limits")

        # 7. Credentials. Groups first: without the uid nobody may set them.
        phase = Phase.CREDENTIALS
        if spec.umask is not None:
            os.umask(spec.umask)
        if spec.groups is not None:
            os.setgroups(spec.groups)
        if spec.gid is not None:
            os.setgid(spec.gid)
        if spec.uid is not None:
            os.setuid(spec.uid)

        # 8. The directory, with the user's eyes.
        if spec.cwd is not None:
            phase, path = Phase.DIRECTORY, spec.cwd
            os.chdir(spec.cwd)

        # 9. Prepared. From here on only exec is left, and only when the keeper says so.
        phase, path = Phase.EXEC, spec.argv[0]
        checkpoint("prepared")
        os.write(gate, PREPARED)
        checkpoint("reported")
        if os.read(gate, 1) != GO:
            os._exit(127)
        checkpoint("released")

        # 10. The program.
        _exec(spec)
    except BaseException as error:  # noqa: BLE001 - whatever it was, the keeper is to hear of it
        with contextlib.suppress(BaseException):
            os.write(gate, FAILED + _encode(_describe(error, phase, path)))
    os._exit(127)


def default_signals() -> None:
    """Default disposition of every signal, then an empty mask: what was sent since the fork takes effect."""
    signal.set_wakeup_fd(-1)
    for number in _SETTABLE_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _exec(spec: ProgramSpec) -> NoReturn:
    """The first one executable along the program's own PATH; EACCES counts only if there is no other."""
    denied: OSError | None = None
    for candidate in _candidates(spec.argv[0], spec.env.get(b"PATH", _DEFAULT_PATH)):
        try:
            os.execve(candidate, spec.argv, spec.env)  # noqa: S606 - starting programs is our trade
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            denied = denied or error
    raise denied or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), spec.argv[0])


def _candidates(name: bytes, search_path: bytes) -> Iterator[bytes]:
    if b"/" in name:
        yield name
    else:
        yield from ((directory or b".") + b"/" + name for directory in search_path.split(b":"))


def _write_file(path: bytes, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, content)
    os.close(fd)


def _describe(error: BaseException, phase: Phase, path: bytes) -> StartError:
    """A ValueError is a NUL in an argument or a limit above the hard one: the kernel's EINVAL."""
    if not isinstance(error, OSError):
        return StartError(errno.EINVAL, phase, path[:_PATH_MAX], str(error) or type(error).__name__)
    named = error.filename if isinstance(error.filename, bytes) else path
    return StartError(error.errno or 0, phase, named[:_PATH_MAX], error.strerror or str(error))
