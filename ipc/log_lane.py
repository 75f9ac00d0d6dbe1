"""A lane: one thread that writes the logs of all sessions whose directories lie on one device.

Facts. A write to a regular file cannot be made non-blocking, and a dying disk or a hung network file system keeps its
caller for seconds, or for ever. So each device has a thread of its own, with its own cursors in the rings and its own
bell: what hangs there stalls neither other devices nor attached terminals.

Design. Rounds over the dirty rings until all are written, then a nap of a millisecond *without* the sleeping flag,
so that busy writers ring no bell and a batch gathers; only after an empty round go to sleep for good, until the bell
rings or a deadline comes. This nap is the one timed wait that is not a deadline.
"""

import queue
import select
import threading
import time
from collections.abc import Callable

from ipc.archivist import Archivist
from ipc.bell import Bell
from ipc.lane_sessions import LaneSessions, Round, moment

_NAP_S = 0.001
_DRAIN_NS = 10**9
_OBEY_NS = 10**7
Command = Callable[[LaneSessions], None]


class LogLane:
    """`report` is told what an operator should know. `began` is told the thread's number, by the thread itself."""

    def __init__(
        self,
        ring_dir: str,
        board: memoryview,
        number: int,
        bell: Bell,
        *,
        report: Callable[[str], None],
        began: Callable[[int], None],
    ) -> None:
        self.number = number
        self._archivist = Archivist(ring_dir, report)
        self.sessions = LaneSessions(ring_dir, board, number, self._archivist, report)
        self._bell = bell
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._stopping = False
        self._poll = select.epoll()
        self._poll.register(bell, select.EPOLLIN)
        self.post(lambda _: began(threading.get_ident()))
        self._thread = threading.Thread(target=self._run, name=f"logs-{number}", daemon=True)
        self._thread.start()

    def post(self, command: Command) -> None:
        """From any thread: have this done between two rounds."""
        self._commands.put(command)
        self._bell.ring()

    def stop(self) -> None:
        """From any thread."""
        self._stopping = True
        self._bell.ring()

    def join(self, deadline_s: float) -> bool:
        """False: it hangs."""
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        return not self._thread.is_alive() and self._archivist.join(max(0.0, deadline_s - time.monotonic()))

    # --- the thread ---

    def _run(self) -> None:
        sessions = self.sessions
        while not self._stopping:
            self._obey()
            now = moment()
            sessions.keep_time(now)
            match sessions.round(now):
                case Round.MORE:
                    pass
                case Round.DONE:
                    time.sleep(_NAP_S)
                case Round.QUIET:
                    if self._commands.empty() and sessions.watch.prepare_sleep():
                        self._sleep()
        self._archivist.stop()
        self._drain()
        sessions.close()

    def _obey(self) -> None:
        """For a while: who is served already need not wait for a thousand who come."""
        until_ns = time.monotonic_ns() + _OBEY_NS
        while not self._commands.empty() and time.monotonic_ns() < until_ns:
            self._commands.get()(self.sessions)

    def _drain(self) -> None:
        """What stands in the rings, as far as there is an end to it: the next router goes on at the cursors."""
        began = now = moment()
        while self.sessions.round(now) is not Round.QUIET and now.mono_ns - began.mono_ns < _DRAIN_NS:
            now = moment()

    def _sleep(self) -> None:
        due_ns = self.sessions.due_ns()
        timeout_s = None if due_ns is None else max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        rung = bool(self._poll.poll(timeout_s))
        self.sessions.watch.wake()
        if rung:
            self._bell.hush()
            self.sessions.look_at_rings()
