"""Sessions that the keeper has and the fleet does not: removed while the supervisor was dying.

Their programs are stopped and their rings forgotten; until then their slots on the board are taken.
"""

import signal
from collections.abc import Callable

from supervisor.daemon.keeper_link import KeeperLink
from supervisor.daemon.placement import Slots
from supervisor.keeper import messages as keeper


class Strays:
    def __init__(self, link: KeeperLink, slots: Slots, report: Callable[[str], None]) -> None:
        self._link = link
        self._slots = slots
        self._report = report
        self._slot_of: dict[str, int] = {}

    def take(self, row: keeper.SessionRow) -> None:
        self._slot_of[row.session] = row.slot
        self._slots.claim(row.slot)
        if row.pid:
            self._report(f"{row.session} is in the fleet no more: its program is killed")
            rid = self._link.next_rid()
            group = keeper.Target.GROUP
            self._link.send(keeper.Signal(rid, row.session, row.last_epoch, signal.SIGKILL, group))
        elif row.output != "flowing" and not row.report:
            self._forget(row.session)

    def heard(self, news: keeper.Event | keeper.Answer) -> bool:
        """Whether it was about one of them."""
        name = getattr(news, "session", "")
        if name not in self._slot_of:
            return False
        if isinstance(news, keeper.ProgramExited | keeper.StartFailed):
            self._link.send(keeper.Ack(news.seq))
        if isinstance(news, keeper.OutputEnded):
            self._forget(name)
        return True

    def _forget(self, name: str) -> None:
        self._link.send(keeper.Forget(self._link.next_rid(), name))
        self._slots.give_back(self._slot_of.pop(name))

    @property
    def are_left(self) -> bool:
        return bool(self._slot_of)
