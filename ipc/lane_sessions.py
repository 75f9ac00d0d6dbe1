"""The sessions of a lane: who has something to be written, who is held, set aside, or owes his index a record.

Each dirty ring gets a turn, the shorter the more of them there are, so that a flood starves nobody. A session whose
log has failed is held until that may have healed. Whatever trips over one session, its ring, its log or a mistake of
ours, sets that session aside for a while and nobody else.
"""

import time
from collections.abc import Callable
from enum import IntEnum

from ipc.archivist import Archivist
from ipc.board import serving_word
from ipc.board_watch import BoardWatch
from ipc.log_kernel import ListedOnce
from ipc.log_sink import Moment
from ipc.router_messages import LogStatus, SetAside
from ipc.session_log import Progress, SessionLog, leave
from ipc.sink_spec import SinkSpec

_ROUND_BYTES = 1 << 24
_LEAST_TURN_BYTES = 1 << 17
_MOST_TURN_BYTES = 1 << 20
_TICK_NS = 10**9
_ASIDE_NS = 60 * 10**9
_HANGS_NS = 10**9


class Round(IntEnum):
    """Of several, the greatest counts."""

    QUIET = 0  # nobody got on
    DONE = 1  # what was there is written
    MORE = 2  # somebody's turn was over, and there is more


def moment() -> Moment:
    return Moment(time.time_ns(), time.monotonic_ns())


class LaneSessions:
    """Belongs to the lane's thread, but for what says that any thread may ask. `bell` is the lane's number."""

    def __init__(
        self, ring_dir: str, board: memoryview, bell: int, archivist: Archivist, report: Callable[[str], None]
    ) -> None:
        self.watch = BoardWatch(board, bell)
        self._ring_dir = ring_dir
        self._board = board
        self._bell = bell
        self._archivist = archivist
        self._report = report
        self._kernel = ListedOnce()  # while sessions are taken up, and nothing else is done
        self._serving = serving_word(bell)
        self._specs: dict[int, SinkSpec] = {}
        self._sessions: dict[int, SessionLog] = {}
        self._aside: dict[int, str] = {}  # slot: why it is not served
        self._held_ns: dict[int, int] = {}  # slot: when to try again, on the monotonic clock
        self._ticking: set[int] = set()  # whose logs still owe something to their index
        self._tick_ns = 0
        self._busy: tuple[str, int] | None = None  # with which session, since when on the monotonic clock

    def failing(self) -> list[LogStatus]:
        """From any thread."""
        found = [
            LogStatus(session.spec.session, failure.since_ns, failure.reason)
            for session in list(self._sessions.values())
            for failure in session.failures
        ]
        return [*found, *self._hanging()]

    def _hanging(self) -> list[LogStatus]:
        busy = self._busy
        waited_ns = time.monotonic_ns() - busy[1] if busy is not None else 0
        if busy is None or waited_ns < _HANGS_NS:
            return []
        return [LogStatus(busy[0], time.time_ns() - waited_ns, f"its log has not answered for {waited_ns / 1e9:.0f} s")]

    def set_aside(self) -> list[SetAside]:
        """From any thread."""
        specs = self._specs
        return [SetAside(specs[slot].session, reason) for slot, reason in list(self._aside.items()) if slot in specs]

    # --- orders ---

    def serve(self, spec: SinkSpec) -> str | None:
        """Start with a session, or go on with it under other terms. Returns why it is not served."""
        self.drop(spec.slot)
        self._specs[spec.slot] = spec
        self._take_up(spec)
        return self._aside.get(spec.slot)

    def keep_aside(self, spec: SinkSpec, until_ns: int, reason: str) -> None:
        self.drop(spec.slot)
        self._specs[spec.slot] = spec
        self._aside[spec.slot] = reason
        self._held_ns[spec.slot] = until_ns

    def drop(self, slot: int) -> None:
        self._let_go(slot)
        for table in (self._specs, self._held_ns, self._aside):
            table.pop(slot, None)

    def finish(self, slot: int) -> None:
        """Its ring goes away: write what stands in it, as far as the log takes it."""
        session = self._sessions.get(slot)
        if session is not None:
            self._kernel.forget()
            newest = session.newest
            while session.cursor < newest and self._serve_one(slot, _MOST_TURN_BYTES, moment()) is not Round.QUIET:
                pass
        self.drop(slot)

    def for_sessions(self, slots: frozenset[int] | None, act: Callable[[SessionLog, Moment], bool]) -> list[str]:
        """All of them where `slots` is None. Returns what went wrong."""
        self._kernel.forget()
        wrong = []
        for slot, spec in self._specs.items():
            if spec.log is None or (slots is not None and slot not in slots):
                continue
            session = self._sessions.get(slot)
            if session is None:
                wrong.append(f"session {spec.session} is not served: {self._aside.get(slot)}")
            elif not self._act(slot, session, act):
                reason = ", ".join(failure.reason for failure in session.failures)
                wrong.append(f"log of {session.spec.session}: {reason}")
        return wrong

    def _act(self, slot: int, session: SessionLog, act: Callable[[SessionLog, Moment], bool]) -> bool:
        self._enter(slot)
        done = act(session, moment())
        self._leave()
        self._look_after(slot, session, moment())
        return done

    # --- turns ---

    def round(self, now: Moment) -> Round:
        """A turn for everybody who has something."""
        self._kernel.forget()
        slots = self.watch.dirty()
        turn_bytes = max(_LEAST_TURN_BYTES, min(_MOST_TURN_BYTES, _ROUND_BYTES // (len(slots) or 1)))
        return max((self._serve_one(slot, turn_bytes, now) for slot in slots), default=Round.QUIET)

    def _serve_one(self, slot: int, turn_bytes: int, now: Moment) -> Round:
        session = self._sessions[slot]
        before = session.cursor
        self._enter(slot)
        try:
            progress = session.advance(turn_bytes, now)
        except Exception as error:  # noqa: BLE001 - see above
            self._report(f"session {session.spec.session} is set aside for a minute: {_said(error)}")
            self._set_aside(slot, _said(error))
            return Round.DONE
        finally:
            self._leave()
        match progress:
            case Progress.IDLE:
                self.watch.done(slot)
            case Progress.HELD:
                self._hold(slot, session.retry_ns() or now.mono_ns + _TICK_NS)
            case Progress.MORE:
                pass
        self._look_after(slot, session, now)
        if session.cursor == before:
            return Round.QUIET
        return Round.MORE if progress is Progress.MORE else Round.DONE

    def _enter(self, slot: int) -> None:
        self._board[self._serving] = slot + 1
        self._busy = (self._specs[slot].session, time.monotonic_ns())

    def _leave(self) -> None:
        self._board[self._serving] = 0
        self._busy = None

    def _look_after(self, slot: int, session: SessionLog, now: Moment) -> None:
        for job in session.rotated():
            self._archivist.put(job)
        if slot not in self._ticking and session.deadline_ns() is not None:
            self._ticking.add(slot)
            self._tick_ns = self._tick_ns or now.mono_ns + _TICK_NS

    def look_at_rings(self) -> None:
        """The bell was rung and no mirror moved: a worker has died or taken over. The rings themselves know."""
        if self.watch.dirty():
            return
        for slot, session in self._sessions.items():
            if slot not in self._held_ns and session.has_news():
                self.watch.watch(slot)

    # --- sessions that come and go ---

    def _take_up(self, spec: SinkSpec) -> None:
        self._enter(spec.slot)
        try:
            self._open(spec)
            self._aside.pop(spec.slot, None)
        except Exception as error:  # noqa: BLE001 - see above
            self._set_aside(spec.slot, _said(error))
        finally:
            self._leave()

    def _open(self, spec: SinkSpec) -> None:
        if spec.log is None:
            leave(self._ring_dir, spec.session)
            return
        session = SessionLog(self._ring_dir, spec, spec.log, self._bell, moment(), self._kernel)
        self._sessions[spec.slot] = session
        self.watch.watch(spec.slot)
        self._look_after(spec.slot, session, moment())
        if spec.log.rotates:
            for job in session.jobs():
                self._archivist.look_for_leftovers(job)

    def _hold(self, slot: int, until_ns: int) -> None:
        """Leave the session alone until it may have healed."""
        self.watch.ignore(slot)
        self._held_ns[slot] = until_ns

    def _set_aside(self, slot: int, reason: str) -> None:
        self._let_go(slot)
        self._aside[slot] = reason
        self._held_ns[slot] = time.monotonic_ns() + _ASIDE_NS

    def _let_go(self, slot: int) -> None:
        self.watch.ignore(slot)
        self._ticking.discard(slot)
        session = self._sessions.pop(slot, None)
        if session is not None:
            self._busy = (session.spec.session, time.monotonic_ns())
            session.close(moment())
            self._busy = None

    def close(self) -> None:
        for slot in list(self._sessions):
            self._let_go(slot)

    # --- time ---

    def due_ns(self) -> int | None:
        """When `keep_time` is wanted."""
        return min((*self._held_ns.values(), *([self._tick_ns] if self._tick_ns else [])), default=None)

    def keep_time(self, now: Moment) -> None:
        if self._held_ns:
            for slot in [slot for slot, due_ns in self._held_ns.items() if due_ns <= now.mono_ns]:
                self._release(slot)
        if self._tick_ns and now.mono_ns >= self._tick_ns:
            self._tick(now)

    def _release(self, slot: int) -> None:
        del self._held_ns[slot]
        if slot in self._sessions:
            self.watch.watch(slot)
        else:
            self._take_up(self._specs[slot])

    def _tick(self, now: Moment) -> None:
        """Logs that have been quiet for a second vouch for their last bytes."""
        for slot in list(self._ticking):
            session = self._sessions[slot]
            self._busy = (session.spec.session, time.monotonic_ns())
            session.tick(now)
            if session.deadline_ns() is None:
                self._ticking.discard(slot)
        self._busy = None
        self._tick_ns = now.mono_ns + _TICK_NS if self._ticking else 0


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
