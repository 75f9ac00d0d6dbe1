"""The router as the keeper's service: tells it how its predecessor ended, and where to report."""

import signal
import sys

from ipc import router
from supervisor.keeper.log import log, log_fault, speak_as
from supervisor.keeper.messages import Exited, Signalled, Unseen, WaitStatus
from supervisor.keeper.template import ServiceJob

# Signals that a process gets for what it did itself; any other came from outside.
_FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS})


def run(job: ServiceJob) -> None:
    speak_as("router")
    sys.excepthook = lambda _kind, error, _trace: log_fault(error)  # its last words
    ring_dir, runtime_dir = job.args
    router.run(ring_dir, runtime_dir, predecessor_fell=fell(job.predecessor), report=log)


def fell(end: WaitStatus | None) -> bool:
    """Did it die of what it was doing?"""
    match end:
        case None | Unseen():
            return False
        case Exited(code):
            return code != 0
        case Signalled(number):
            return number in _FAULTS
