"""Forks, as this process does them: with one thread, and with the signals held back that it has handlers for.

Facts. A fork copies one thread: with a second one anything it had locked stays locked in the child for ever. A signal
that arrives between fork and the child's own dispositions would run our handlers there, and be lost to it.
"""

import ctypes
import errno
import os
import signal
from collections.abc import Callable, Iterable
from typing import NoReturn

from childproc.fdtable import close_all_except
from childproc.program import default_signals
from supervisor.keeper.log import log_fault
from supervisor.keeper.wakeup import HANDLED

_PR_SET_CHILD_SUBREAPER = 36
_PF_FORKNOEXEC = 0x40


def become_subreaper() -> None:
    """Orphans of our descendants become our children, where the next subreaper up would be init."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the reaper of orphans (PR_SET_CHILD_SUBREAPER)")


def fork(child: Callable[[], NoReturn]) -> int:
    """The new process's pid. `child` starts with our signals blocked and must set its own dispositions."""
    threads = os.stat("/proc/self/task").st_nlink - 2
    if threads != 1:
        raise OSError(errno.EDEADLK, f"refused to fork with {threads} threads")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            try:
                child()
            finally:
                os._exit(127)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def fork_detached(body: Callable[[], None], keep: Iterable[int]) -> int:
    """Fork one of our own processes: in a session of its own, with fds 0 to 2 and `keep` only."""

    def child() -> NoReturn:
        code = 1
        try:
            os.setsid()  # or a Ctrl-C at ringvisord's terminal would reach it
            default_signals()
            close_all_except((0, 1, 2, *keep))
            body()
            code = 0
        except SystemExit as request:
            code = request.code if isinstance(request.code, int) else 1
        except BaseException as error:  # noqa: BLE001 - the end of this process, whatever it is
            log_fault(error)
        finally:
            os._exit(code)

    return fork(child)


def ever_execed(pid: int) -> bool:
    """Of a process that is not reaped yet. The flag is gone before exec closes the first fd.

    It is asked when it had reported itself prepared: if it cannot be asked, exec is by far the likelier answer.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return True
    return not int(fields[6]) & _PF_FORKNOEXEC
