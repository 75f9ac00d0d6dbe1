"""A lane: one thread that writes the logs of all sessions whose directories lie on one device.

Facts. A write to a regular file cannot be made non-blocking, and a dying disk or a hung network file system keeps its
caller for seconds, or for ever. So each device has a thread of its own, with its own cursors in the rings and its own
bell: what hangs there stalls neither other devices nor attached terminals.

Design. Find the dirty rings, give each a turn of at most `_TURN_BYTES`, then nap for half a millisecond *without* the
sleeping flag, so that busy writers ring no bell and a batch gathers; only after an empty round go to sleep for good,
until the bell rings or a deadline comes. This nap is the one timed wait that is not a deadline.

Whatever trips over one session, its ring, its log or our own mistake, sets that session aside and nobody else.
"""

import queue
import select
import threading
import time
from collections.abc import Callable

from ipc.archivist import Archivist
from ipc.bell import Bell
from ipc.board import serving_word
from ipc.board_watch import BoardWatch
from ipc.log_sink import Moment
from ipc.router_messages import LogStatus, SetAside
from ipc.session_log import Progress, SessionLog, leave
from ipc.sink_spec import SinkSpec

_TURN_BYTES = 1 << 18
_NAP_S = 0.0005
_TICK_NS = 10**9
_ASIDE_NS = 60 * 10**9
_HANGS_NS = 10**9
_DRAIN_NS = 10**9
_OBEY_NS = 10**7
Command = Callable[["LogLane"], None]


def moment() -> Moment:
    return Moment(time.time_ns(), time.monotonic_ns())


class LogLane:
    """`report` is told what an operator should know. Everything but `post` belongs to the lane's own thread, if it does
    not say otherwise."""

    def __init__(
        self, ring_dir: str, board: memoryview, number: int, bell: Bell, report: Callable[[str], None]
    ) -> None:
        self.number = number
        self._ring_dir = ring_dir
        self._board = board
        self._archivist = Archivist(report)
        self._bell = bell
        self._report = report
        self._serving = serving_word(number)
        self._watch = BoardWatch(board, number)
        self._specs: dict[int, SinkSpec] = {}
        self._sessions: dict[int, SessionLog] = {}
        self._aside: dict[int, str] = {}  # slot: why it is not served
        self._held_ns: dict[int, int] = {}  # slot: when to try again, on the monotonic clock
        self._ticking: set[int] = set()  # whose logs still owe something to their index
        self._tick_ns = 0
        self._busy: tuple[str, int] | None = None  # with which session, since when on the monotonic clock
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._stopping = False
        self._poll = select.epoll()
        self._poll.register(bell, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name=f"logs-{number}", daemon=True)

    def start(self, began: Callable[[int], None]) -> None:
        """`began` is told the thread's number, by the thread itself."""
        self.post(lambda _: began(threading.get_ident()))
        self._thread.start()

    def join(self, deadline_s: float) -> bool:
        """False: it hangs."""
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        return not self._thread.is_alive() and self._archivist.join(max(0.0, deadline_s - time.monotonic()))

    def post(self, command: Command) -> None:
        """From any thread: have this done between two rounds."""
        self._commands.put(command)
        self._bell.ring()

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

    # --- commands ---

    def stop(self) -> None:
        self._stopping = True

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
            newest = session.newest
            while session.cursor < newest and self._serve_one(slot, moment()):
                pass
        self.drop(slot)

    def for_sessions(self, slots: frozenset[int] | None, act: Callable[[SessionLog, Moment], bool]) -> list[str]:
        """All of them where `slots` is None. Returns what went wrong."""
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

    # --- the thread ---

    def _run(self) -> None:
        while not self._stopping:
            self._obey()
            now = moment()
            self._keep_time(now)
            if self._round(now):
                time.sleep(_NAP_S)
            elif self._commands.empty() and self._watch.prepare_sleep():
                self._sleep()
        self._archivist.stop()
        self._drain()
        for slot in list(self._sessions):
            self._let_go(slot)

    def _obey(self) -> None:
        """For a while: who is served already need not wait for a thousand who come."""
        until_ns = time.monotonic_ns() + _OBEY_NS
        while not self._commands.empty() and time.monotonic_ns() < until_ns:
            self._commands.get()(self)

    def _drain(self) -> None:
        """What stands in the rings, as far as there is an end to it: the next router goes on at the cursors."""
        began = now = moment()
        while self._round(now) and now.mono_ns - began.mono_ns < _DRAIN_NS:
            now = moment()

    def _round(self, now: Moment) -> bool:
        """Did any session get on?"""
        progress = False
        for slot in self._watch.dirty():
            progress |= self._serve_one(slot, now)
        return progress

    def _serve_one(self, slot: int, now: Moment) -> bool:
        session = self._sessions[slot]
        before = session.cursor
        self._enter(slot)
        try:
            progress = session.advance(_TURN_BYTES, now)
        except Exception as error:  # noqa: BLE001 - see above
            self._report(f"session {session.spec.session} is set aside for a minute: {_said(error)}")
            self._set_aside(slot, _said(error))
            return True
        finally:
            self._leave()
        match progress:
            case Progress.IDLE:
                self._watch.done(slot)
            case Progress.HELD:
                self._hold(slot, session.retry_ns() or now.mono_ns + _TICK_NS)
            case Progress.MORE:
                pass
        self._look_after(slot, session, now)
        return session.cursor != before

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
        session = SessionLog(self._ring_dir, spec, spec.log, self.number, moment())
        self._sessions[spec.slot] = session
        self._watch.watch(spec.slot)
        self._look_after(spec.slot, session, moment())
        if spec.log.rotates:
            for job in session.jobs():
                self._archivist.look_for_leftovers(job)

    def _hold(self, slot: int, until_ns: int) -> None:
        """Leave the session alone until it may have healed."""
        self._watch.ignore(slot)
        self._held_ns[slot] = until_ns

    def _set_aside(self, slot: int, reason: str) -> None:
        self._let_go(slot)
        self._aside[slot] = reason
        self._held_ns[slot] = time.monotonic_ns() + _ASIDE_NS

    def _let_go(self, slot: int) -> None:
        self._watch.ignore(slot)
        self._ticking.discard(slot)
        session = self._sessions.pop(slot, None)
        if session is not None:
            session.close(moment())

    # --- time ---

    def _keep_time(self, now: Moment) -> None:
        if self._held_ns:
            for slot in [slot for slot, due_ns in self._held_ns.items() if due_ns <= now.mono_ns]:
                self._release(slot)
        if self._tick_ns and now.mono_ns >= self._tick_ns:
            self._tick(now)

    def _release(self, slot: int) -> None:
        del self._held_ns[slot]
        if slot in self._sessions:
            self._watch.watch(slot)
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

    def _sleep(self) -> None:
        due_ns = min((*self._held_ns.values(), *([self._tick_ns] if self._tick_ns else [])), default=None)
        timeout_s = None if due_ns is None else max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        rung = bool(self._poll.poll(timeout_s))
        self._watch.wake()
        if rung:
            self._bell.hush()
            self._answer_bell()

    def _answer_bell(self) -> None:
        """Rung, and no mirror moved: a worker has died or taken over. The rings themselves know."""
        if self._watch.dirty():
            return
        for slot, session in self._sessions.items():
            if slot not in self._held_ns and session.has_news():
                self._watch.watch(slot)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
