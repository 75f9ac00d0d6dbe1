"""A lane: one thread that writes the logs of all sessions whose directories lie on one device.

Facts. A write to a regular file cannot be made non-blocking, and a dying disk or a hung network file system keeps its
caller for seconds, or for ever. So each device has a thread of its own, with its own cursors in the rings and its own
bell: what hangs there stalls neither other devices nor attached terminals.

Design. Find the dirty rings, give each a turn of at most `_TURN_BYTES`, then nap for half a millisecond *without* the
sleeping flag, so that busy writers ring no bell and a batch gathers; only after an empty round go to sleep for good,
until the bell rings or a deadline comes. This nap is the one timed wait that is not a deadline.
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
from ipc.errors import IpcError
from ipc.log_sink import Moment
from ipc.router_messages import LogStatus
from ipc.session_log import Progress, SessionLog
from ipc.sink_spec import SinkSpec

_TURN_BYTES = 1 << 18
_NAP_S = 0.0005
_TICK_NS = 10**9
_ASIDE_NS = 60 * 10**9
Command = Callable[["LogLane"], None]


def moment() -> Moment:
    return Moment(time.time_ns(), time.monotonic_ns())


class LogLane:
    """`report` is told what an operator should know. Everything but `post` belongs to the lane's own thread."""

    def __init__(
        self,
        ring_dir: str,
        board: memoryview,
        number: int,
        bell: Bell,
        report: Callable[[str], None],
        archivist: Archivist,
    ) -> None:
        self.number = number
        self._ring_dir = ring_dir
        self._board = board
        self._archivist = archivist
        self._bell = bell
        self._report = report
        self._serving = serving_word(number)
        self._watch = BoardWatch(board, number)
        self._specs: dict[int, SinkSpec] = {}
        self._sessions: dict[int, SessionLog] = {}
        self._held_ns: dict[int, int] = {}  # slot: when to try again, on the monotonic clock
        self._ticking: set[int] = set()  # whose logs still owe something to their index
        self._tick_ns = 0
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._stopping = False
        self._poll = select.epoll()
        self._poll.register(bell, select.EPOLLIN)
        self.thread = threading.Thread(target=self._run, name=f"logs-{number}")

    def post(self, command: Command) -> None:
        """From any thread: have this done between two rounds."""
        self._commands.put(command)
        self._bell.ring()

    def failing(self) -> list[LogStatus]:
        """From any thread."""
        return [
            LogStatus(session.spec.session, failure.since_ns, failure.reason)
            for session in list(self._sessions.values())
            for failure in [sink.failure for sink in session.sinks]
            if failure is not None
        ]

    def set_aside(self) -> list[str]:
        """From any thread."""
        return [spec.session for slot, spec in list(self._specs.items()) if slot not in self._sessions]

    # --- commands ---

    def stop(self) -> None:
        self._stopping = True

    def serve(self, spec: SinkSpec, *, not_before_ns: int = 0) -> None:
        """Start with a session, or go on with it under other terms."""
        self.drop(spec.slot)
        if spec.log is None:
            return
        self._specs[spec.slot] = spec
        if not_before_ns:
            self._held_ns[spec.slot] = not_before_ns
            return
        try:
            session = SessionLog(self._ring_dir, spec, spec.log, self.number, moment())
        except (IpcError, OSError) as error:
            self._set_aside(spec.slot, str(error))
            return
        self._sessions[spec.slot] = session
        self._watch.watch(spec.slot)

    def drop(self, slot: int) -> None:
        self._let_go(slot)
        self._specs.pop(slot, None)
        self._held_ns.pop(slot, None)

    def finish(self, slot: int) -> None:
        """Its ring goes away: write what stands in it, as far as the log takes it."""
        while slot in self._sessions and self._serve_one(slot, moment()):
            pass
        self.drop(slot)

    def for_sessions(self, slots: frozenset[int] | None, act: Callable[[SessionLog, Moment], object]) -> None:
        """All of them where `slots` is None."""
        now = moment()
        for slot, session in self._sessions.items():
            if slots is None or slot in slots:
                act(session, now)

    # --- the thread ---

    def _run(self) -> None:
        while not self._stopping:
            self._obey()
            now = moment()
            self._keep_time(now)
            if self._round(now):
                time.sleep(_NAP_S)
            elif self._commands.empty() and self._watch.prepare_sleep():
                self._sleep(now)
        self._round(moment())
        for slot in list(self._sessions):
            self._let_go(slot)

    def _obey(self) -> None:
        while not self._commands.empty():
            self._commands.get()(self)

    def _round(self, now: Moment) -> bool:
        """Did any session get on?"""
        progress = False
        for slot in self._watch.dirty():
            progress |= self._serve_one(slot, now)
        return progress

    def _serve_one(self, slot: int, now: Moment) -> bool:
        session = self._sessions[slot]
        before = session.cursor
        self._board[self._serving] = slot + 1
        try:
            progress = session.advance(_TURN_BYTES, now)
        except (IpcError, ValueError, IndexError) as error:
            # A ring whose words make no sense: whatever trips over them, only this session is affected.
            self._set_aside(slot, str(error))
            return True
        finally:
            self._board[self._serving] = 0
        for job in session.rotated():
            self._archivist.put(job)
        match progress:
            case Progress.IDLE:
                self._watch.done(slot)
            case Progress.HELD:
                self._hold(slot, session, now)
            case Progress.MOVING:
                self._watch.ignore(slot)
            case Progress.MORE:
                pass
        if slot not in self._ticking and session.deadline_ns() is not None:
            self._ticking.add(slot)
            self._tick_ns = self._tick_ns or now.mono_ns + _TICK_NS
        return session.cursor != before

    def _hold(self, slot: int, session: SessionLog, now: Moment) -> None:
        """A log has failed: leave the session alone until it may have healed."""
        self._watch.ignore(slot)
        self._held_ns[slot] = session.deadline_ns() or now.mono_ns + _TICK_NS

    def _set_aside(self, slot: int, reason: str) -> None:
        self._report(f"session {self._specs[slot].session} is set aside for a minute: {reason}")
        self._let_go(slot)
        self._held_ns[slot] = time.monotonic_ns() + _ASIDE_NS

    def _let_go(self, slot: int) -> None:
        self._watch.ignore(slot)
        self._ticking.discard(slot)
        session = self._sessions.pop(slot, None)
        if session is not None:
            session.close(moment())

    # --- time ---

    def _keep_time(self, now: Moment) -> None:
        for slot in [slot for slot, due_ns in self._held_ns.items() if due_ns <= now.mono_ns]:
            self._release(slot)
        if self._tick_ns and now.mono_ns >= self._tick_ns:
            self._tick(now)

    def _release(self, slot: int) -> None:
        del self._held_ns[slot]
        if slot in self._sessions:
            self._watch.watch(slot)
        else:
            self.serve(self._specs[slot])

    def _tick(self, now: Moment) -> None:
        """Logs that have been quiet for a second vouch for their last bytes."""
        for slot in list(self._ticking):
            session = self._sessions[slot]
            session.tick(now)
            if session.deadline_ns() is None:
                self._ticking.discard(slot)
        self._tick_ns = now.mono_ns + _TICK_NS if self._ticking else 0

    def _sleep(self, now: Moment) -> None:
        due_ns = min((*self._held_ns.values(), *([self._tick_ns] if self._tick_ns else [])), default=None)
        timeout_s = None if due_ns is None else max(0.0, (due_ns - now.mono_ns) / 1e9)
        rung = bool(self._poll.poll(timeout_s))
        self._watch.wake()
        self._bell.hush()
        if rung and not self._watch.dirty():
            self._look_at_rings()

    def _look_at_rings(self) -> None:
        """Rung, and no mirror moved: a worker has died or taken over. The rings themselves know."""
        for slot, session in self._sessions.items():
            if slot not in self._held_ns and session.has_news():
                self._watch.watch(slot)
