"""The keeper's children: who is expected to die, and what is done when one does.

Facts. SIGCHLDs merge: one may stand for any number of deaths, stops (SIGSTOP) and continuations. A zombie keeps its pid
and its /proc entry until it is reaped; after that its pid may belong to somebody else. A subreaper also gets orphans
that it never forked.

Design. Look without reaping, note, then reap: whoever is told of a death still finds the zombie, and no exit status is
in nobody's hands. Orphans are reaped and nothing else.
"""

import os
import time
from collections.abc import Callable

from msgspec import Struct

from supervisor.keeper.log import log_fault
from supervisor.keeper.messages import Exited, Signalled, WaitStatus


class Death(Struct, frozen=True):
    pid: int
    status: WaitStatus
    time_ns: int


class Children:
    def __init__(self) -> None:
        self._expected: dict[int, Callable[[Death], None]] = {}
        self._followed: dict[int, Callable[[bool], None]] = {}

    def expect(self, pid: int, on_death: Callable[[Death], None]) -> None:
        self._expected[pid] = on_death

    def follow(self, pid: int, on_stop: Callable[[bool], None]) -> None:
        """Told True when it is stopped, False when it goes on; until it dies."""
        self._followed[pid] = on_stop

    def sweep(self) -> None:
        while change := _next_stop():
            if on_stop := self._followed.get(change.si_pid):
                on_stop(change.si_code == os.CLD_STOPPED)
        while zombie := _next_zombie():
            try:
                self._followed.pop(zombie.pid, None)
                if on_death := self._expected.pop(zombie.pid, None):
                    on_death(zombie)
            except Exception as fault:  # noqa: BLE001 - a zombie that stayed would be found again for ever
                log_fault(fault)
            os.waitid(os.P_PID, zombie.pid, os.WEXITED)


def is_child(pid: int) -> bool:
    """And not reaped yet."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _next_stop() -> os.waitid_result | None:
    """Each is told once."""
    try:
        return os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
    except ChildProcessError:
        return None


def _next_zombie() -> Death | None:
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if found is None:
        return None
    return Death(found.si_pid, _status(found.si_code, found.si_status), time.monotonic_ns())


def _status(code: int, status: int) -> WaitStatus:
    if code == os.CLD_EXITED:
        return Exited(status)
    return Signalled(status, core=code == os.CLD_DUMPED)
