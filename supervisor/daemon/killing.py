"""Trees that are to be killed, each at its time: many at once with one look at the processes.

A look at the keeper's children costs as much as there are. So what an ended program left behind is looked for at the
next tenth of a second: a thousand programs that end together cost a few looks, and not a thousand.
"""

import heapq
import math
import time
from collections.abc import Callable
from typing import NamedTuple

from supervisor.daemon.process_tree import ancestors, children, claim, kill_below, orphans
from supervisor.keeper.loop import Loop

_ORPHANS_EVERY_S = 0.1


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
        self._timer_s = math.inf
        self._looks_above = False

    def look_above(self) -> None:
        """Also for orphans of epochs that an earlier keeper began."""
        self._looks_above = True

    def at(self, at_s: float, session: str, epoch: int, leader: int) -> None:
        """`leader`: 0 where it is gone, and only what it left behind is meant."""
        if not leader:
            at_s = math.ceil(at_s / _ORPHANS_EVERY_S) * _ORPHANS_EVERY_S
        heapq.heappush(self._due, _Due(at_s, session, epoch, leader))
        self._set_timer()

    def _set_timer(self) -> None:
        if self._due and self._due[0].at_s < self._timer_s:
            self._timer_s = self._due[0].at_s
            self._loop.call_in(max(0.0, self._timer_s - time.monotonic()), self._kill_due)

    def before_start(self, session: str, epoch: int) -> None:
        """What is still left of earlier epochs goes before the next one begins."""
        left = [due for due in self._due if due.session == session and due.epoch < epoch]
        if left:
            self._due = [due for due in self._due if due not in left]
            heapq.heapify(self._due)
            self._kill(left)

    def _kill_due(self) -> None:
        self._timer_s = math.inf
        due = []
        now_s = time.monotonic()
        while self._due and self._due[0].at_s <= now_s:
            due.append(heapq.heappop(self._due))
        self._set_timer()
        if due:
            self._kill(due)

    def _kill(self, due: list[_Due]) -> None:
        roots = [one.leader for one in due if one.leader and claim(one.leader) == (one.session, one.epoch)]
        keeper = self._keeper_pid()
        own = self._own_pids()
        parents = [keeper, *(ancestors(keeper) if self._looks_above else [])]
        if not {pid for parent in parents for pid in children(parent)} <= own:
            wanted = {(one.session, one.epoch) for one in due}
            found = orphans(parents, own)
            roots += [orphan.process.pid for orphan in found if (orphan.session, orphan.epoch) in wanted]
        if roots:
            kill_below(roots)
