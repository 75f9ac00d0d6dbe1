"""Trees that are to be killed, each at its time: many at once with one look at the processes."""

import heapq
import time
from collections.abc import Callable
from typing import NamedTuple

from supervisor.daemon.process_tree import children, claim, kill_below, orphans
from supervisor.keeper.loop import Loop


class _Due(NamedTuple):
    at_s: float
    session: str
    epoch: int
    leader: int


class Killing:
    """`own_pids()` are the processes that the keeper forked itself: none of them is an orphan."""

    def __init__(self, loop: Loop, keeper_pid: Callable[[], int], own_pids: Callable[[], set[int]]) -> None:
        self._loop = loop
        self._keeper_pid = keeper_pid
        self._own_pids = own_pids
        self._due: list[_Due] = []

    def at(self, at_s: float, session: str, epoch: int, leader: int) -> None:
        """`leader`: 0 where it is gone, and only what it left behind is meant."""
        heapq.heappush(self._due, _Due(at_s, session, epoch, leader))
        self._loop.call_in(max(0.0, at_s - time.monotonic()), self._kill_due)

    def before_start(self, session: str, epoch: int) -> None:
        """What is still left of earlier epochs goes before the next one begins."""
        for due in [due for due in self._due if due.session == session and due.epoch < epoch]:
            self._due.remove(due)
            self._kill([due])
        heapq.heapify(self._due)

    def _kill_due(self) -> None:
        due = []
        now_s = time.monotonic()
        while self._due and self._due[0].at_s <= now_s:
            due.append(heapq.heappop(self._due))
        if due:
            self._kill(due)

    def _kill(self, due: list[_Due]) -> None:
        roots = [one.leader for one in due if one.leader and claim(one.leader) == (one.session, one.epoch)]
        keeper = self._keeper_pid()
        own = self._own_pids()
        if not set(children(keeper)) <= own:
            wanted = {(one.session, one.epoch) for one in due}
            roots += [orphan.process.pid for orphan in orphans(keeper, own) if (orphan.session, orphan.epoch) in wanted]
        if roots:
            kill_below(roots)
