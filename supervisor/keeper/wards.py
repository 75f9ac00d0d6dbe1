"""Processes that we did not fork: a keeper before us did, and whoever reaps them now is none of our business.

A pidfd says when one is dead, and HUP when it has been reaped, whereupon the kernel tells how it ended (see
childproc/exit_status.py). A reaper that takes its time is waited for a moment; then what the zombie shows has to do,
and if it shows nothing, the end is awaited a while longer and then unseen.
"""

import time
from collections.abc import Callable

from childproc.exit_status import is_dead, status_of_zombie, status_when_reaped
from supervisor.keeper.children import Death
from supervisor.keeper.loop import Loop
from supervisor.keeper.messages import wait_status

MOMENT_S = 0.1
WHILE_S = 5.0


class Wards:
    """The pidfds stay their owners': each leaves the loop when its process is dead and told of."""

    def __init__(self, loop: Loop, while_s: float = WHILE_S) -> None:
        self._loop = loop
        self._while_s = while_s

    def expect(self, pid: int, pidfd: int, on_death: Callable[[Death], None]) -> None:
        """Told once it is known how it ended, or known that it cannot be."""
        _Ward(self._loop, pid, pidfd, on_death, self._while_s).watch()

    def expect_gone(self, pidfd: int, on_gone: Callable[[], None]) -> None:
        """Told at once; how does not matter."""

        def look() -> None:
            if is_dead(pidfd):
                self._loop.unwatch(pidfd)
                on_gone()

        self._loop.watch(pidfd, look)


class _Ward:
    def __init__(self, loop: Loop, pid: int, pidfd: int, on_death: Callable[[Death], None], while_s: float) -> None:
        self._while_s = while_s
        self._loop = loop
        self._pid = pid
        self._pidfd = pidfd
        self._on_death = on_death
        self._shown: int | None = None
        self._died_ns = 0
        self._told = False

    def watch(self) -> None:
        self._loop.watch(self._pidfd, self._look)

    def _look(self) -> None:
        if not self._died_ns:
            if not is_dead(self._pidfd):
                return
            self._note_death()
        status = status_when_reaped(self._pidfd)
        if status is not None:
            self._tell(status)

    def _note_death(self) -> None:
        self._died_ns = time.monotonic_ns()
        self._shown = status_of_zombie(self._pid, self._pidfd)
        self._loop.interest(self._pidfd, 0)  # HUP is what comes next
        self._loop.call_in(MOMENT_S, self._make_do)
        self._loop.call_in(self._while_s, lambda: self._tell(None))

    def _make_do(self) -> None:
        if self._shown is None and not self._told:
            self._shown = status_of_zombie(self._pid, self._pidfd)
        if self._shown is not None:
            self._tell(self._shown)

    def _tell(self, status: int | None) -> None:
        if self._told:
            return
        self._told = True
        self._loop.unwatch(self._pidfd)
        self._on_death(Death(self._pid, wait_status(status), self._died_ns))
