"""Which lane writes which session's log: one lane for each device that logs lie on.

Facts. To ask which device a directory is on may hang as long as to write there. A reader's cursor has one owner: a
session that moves to another device must be let go by its old lane first, however long that takes.

Design. The directory is looked at by a thread that does nothing else and whom nobody waits for; what it finds comes
back to the main thread (`on_main`), which alone knows who is where. Each order is answered when it is carried out.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable

from ipc.board import FIRST_LOG_BELL, LAST_LOG_BELL
from ipc.errors import IpcError
from ipc.lane_sessions import LaneSessions
from ipc.log_lane import LogLane
from ipc.log_sink import Moment
from ipc.router_messages import LogStatus, SetAside
from ipc.session_log import SessionLog
from ipc.sink_spec import LogSpec, SinkSpec

_HANGS_NS = 10**9
Answer = Callable[[str | None], None]  # told what went wrong, if anything did
_ACTIONS: dict[str, Callable[[SessionLog, Moment], bool]] = {
    "rotate": SessionLog.rotate,
    "reopen": SessionLog.reopen,
    "clear": SessionLog.clear,
}


class _Wish:
    """A session is to be served like this."""

    def __init__(self, spec: SinkSpec, answer: Answer) -> None:
        self.spec = spec
        self.answer = answer
        self.since_ns = time.time_ns()


class _Place:
    """Where a session is: in a lane, served by these terms, and what it is to become."""

    def __init__(self) -> None:
        self.lane: LogLane | None = None
        self.served: SinkSpec | None = None
        self.wish: _Wish | None = None


class Lanes:
    """`new_lane` starts the one with this number; `aside` says until when (monotonic) nobody may touch a session."""

    def __init__(
        self,
        ring_dir: str,
        new_lane: Callable[[int], LogLane],
        on_main: Callable[[Callable[[], None]], None],
        aside: Callable[[SinkSpec], int],
    ) -> None:
        self._ring_dir = ring_dir
        self._new_lane = new_lane
        self._on_main = on_main
        self._aside = aside
        self._by_device: dict[int, LogLane] = {}
        self._places: dict[str, _Place] = {}
        self._owners: dict[int, str] = {}  # of slots

    @property
    def all(self) -> list[LogLane]:
        return list(dict.fromkeys(self._by_device.values()))

    def spec_of(self, session: str) -> SinkSpec | None:
        place = self._places.get(session)
        if place is None:
            return None
        return place.wish.spec if place.wish is not None else place.served

    def log_of(self, session: str) -> LogSpec | None:
        spec = self.spec_of(session)
        return None if spec is None else spec.log

    # --- sessions come, change and go ---

    def serve(self, spec: SinkSpec, answer: Answer) -> None:
        self.serve_all([(spec, answer)])

    def serve_all(self, specs: Iterable[tuple[SinkSpec, Answer]]) -> None:
        """The directory of many is looked at once."""
        wishes: dict[str, list[_Wish]] = {}
        for spec, answer in specs:
            try:
                self._own(spec)
            except IpcError as error:
                answer(str(error))
                continue
            place = self._places.setdefault(spec.session, _Place())
            _supersede(place)
            place.wish = _Wish(spec, answer)
            wishes.setdefault(self._ring_dir if spec.log is None else spec.log.directory, []).append(place.wish)
        for directory, wanted in wishes.items():
            self._locate(directory, wanted)

    def _own(self, spec: SinkSpec) -> None:
        owner = self._owners.get(spec.slot, spec.session)
        if owner != spec.session:
            raise IpcError(f"session {spec.session} has slot {spec.slot}, which is that of {owner}")
        before = self.spec_of(spec.session)
        if before is not None:
            self._owners.pop(before.slot, None)
        self._owners[spec.slot] = spec.session

    def _locate(self, directory: str, wishes: list[_Wish]) -> None:
        def look() -> None:
            device = device_of(directory)
            self._on_main(lambda: self._located(device, wishes))

        threading.Thread(target=look, name="locate", daemon=True).start()

    def _located(self, device: int, wishes: list[_Wish]) -> None:
        lane = self._lane(device)
        for wish in wishes:
            place = self._places.get(wish.spec.session)
            if place is not None and place.wish is wish:
                self._move(place, wish, lane)

    def _move(self, place: _Place, wish: _Wish, lane: LogLane) -> None:
        before, served = place.lane, place.served
        if before is None or served is None or (before is lane and served.slot == wish.spec.slot):
            self._enter(place, wish, lane)
            return

        def has_left() -> None:
            place.lane = place.served = None
            if place.wish is wish:
                self._enter(place, wish, lane)

        def leave(old: LaneSessions) -> None:
            old.drop(served.slot)
            self._on_main(has_left)

        before.post(leave)

    def _enter(self, place: _Place, wish: _Wish, lane: LogLane) -> None:
        place.lane, place.served, place.wish = lane, wish.spec, None
        aside_until_ns = self._aside(wish.spec)

        def enter(sessions: LaneSessions) -> None:
            if aside_until_ns:
                reason: str | None = "three routers died of it within a minute"
                sessions.keep_aside(wish.spec, aside_until_ns, str(reason))
            else:
                reason = sessions.serve(wish.spec)
            self._on_main(lambda: wish.answer(reason and f"session {wish.spec.session} is set aside: {reason}"))

        lane.post(enter)

    def drop(self, session: str, answer: Answer) -> None:
        """What its ring holds is written first."""
        place = self._places.pop(session, None)
        self._owners = {slot: owner for slot, owner in self._owners.items() if owner != session}
        if place is None:
            answer(None)
            return
        _supersede(place)
        place.wish = None
        lane, served = place.lane, place.served
        if lane is None or served is None:
            answer(None)
            return

        def finish(sessions: LaneSessions) -> None:
            sessions.finish(served.slot)
            self._on_main(lambda: answer(None))

        lane.post(finish)

    # --- orders to logs ---

    def log_order(self, action: str, sessions: list[str] | None, answer: Answer) -> None:
        act = _ACTIONS.get(action)
        if act is None:
            raise IpcError(f"no such order: {action}; there are {', '.join(_ACTIONS)}")
        slots, lanes = (None, self.all) if sessions is None else self._named(sessions)
        waiting = len(lanes)
        wrong: list[str] = []

        def has_done(said: list[str]) -> None:
            nonlocal waiting
            waiting -= 1
            wrong.extend(said)
            if not waiting:
                answer("; ".join(wrong) or None)

        def carry_out(sessions: LaneSessions) -> None:
            said = sessions.for_sessions(slots, act)
            self._on_main(lambda: has_done(said))

        if not lanes:
            answer(None)
        for lane in lanes:
            lane.post(carry_out)

    def _named(self, sessions: list[str]) -> tuple[frozenset[int], list[LogLane]]:
        """Their slots, and the lanes that have them."""
        slots, lanes = set(), set()
        for session in sessions:
            place = self._places.get(session)
            if place is None or self.log_of(session) is None:
                raise IpcError(f"no such session, or it has no log: {session}")
            if place.lane is not None and place.served is not None:
                slots.add(place.served.slot)
                lanes.add(place.lane)
        return frozenset(slots), list(lanes)

    def failing(self) -> list[LogStatus]:
        now_ns = time.time_ns()
        nowhere = [
            LogStatus(name, place.wish.since_ns, "its log directory does not answer")
            for name, place in self._places.items()
            if place.wish is not None and now_ns - place.wish.since_ns > _HANGS_NS
        ]
        return [status for lane in self.all for status in lane.sessions.failing()] + nowhere

    def set_aside(self) -> list[SetAside]:
        return [status for lane in self.all for status in lane.sessions.set_aside()]

    # --- lanes ---

    def _lane(self, device: int) -> LogLane:
        """More devices than bells share the last lane."""
        if device not in self._by_device:
            lanes = self.all
            number = FIRST_LOG_BELL + len(lanes)
            self._by_device[device] = lanes[-1] if number > LAST_LOG_BELL else self._new_lane(number)
        return self._by_device[device]

    def stop(self, deadline_s: float) -> list[LogLane]:
        """In order; returns those that hang."""
        for lane in self.all:
            lane.stop()
        return [lane for lane in self.all if not lane.join(deadline_s)]


def _supersede(place: _Place) -> None:
    if place.wish is not None:
        place.wish.answer(None)


def device_of(directory: str) -> int:
    """Of the directory, or of what it will be made in."""
    while True:
        try:
            return os.stat(directory).st_dev
        except OSError:
            above = os.path.dirname(os.path.abspath(directory))
            if above == directory:
                return 0
            directory = above
