"""The router: one process that reads all rings and fans out.

    main thread     attached terminals and subscribers, the supervisor's orders      ipc/live.py
    a log lane      for each device that logs lie on                                 ipc/log_lane.py
    the archivist   compresses and deletes rotated parts                             ipc/archivist.py

It runs no user code and parses no message. It needs nobody to start it up: the sink files beside the rings say what
to do, the cursors in the rings and the logs' own indexes where to go on. Whom each thread serves stands on the board,
so that the next router knows what the last one died of.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import assert_never

from setproctitle import setproctitle

from ipc import board as on
from ipc.archivist import Archivist
from ipc.errors import IpcError
from ipc.live import Live, Order
from ipc.log_lane import LogLane
from ipc.ordering import barrier, register
from ipc.quarantine import Record, after_death, decode, is_aside
from ipc.ring_dir import open_board, open_reader_bell
from ipc.router_messages import AskStatus, Done, Drop, FromRouter, LogOrder, RouterStatus, Serve
from ipc.session_log import SessionLog
from ipc.sink_spec import LogSpec, SinkSpec, read_sink, sessions_with_sinks

BROKEN = 70  # the exit code of a router that fell over its own exception
_SWITCH_INTERVAL_S = 0.0005  # a lane that computes gives way to a keystroke


def router_socket_path(runtime_dir: str) -> str:
    return f"{runtime_dir}/router.sock"


def run(ring_dir: str, runtime_dir: str, *, predecessor_fell: bool, report: Callable[[str], None]) -> None:
    """Until SIGTERM. `predecessor_fell`: the last router died of itself, not of somebody's SIGKILL."""
    setproctitle("ringvisor: router")
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    threading.excepthook = _fall
    router = Router(ring_dir, runtime_dir, report)
    router.note_predecessor(fell=predecessor_fell)
    signal.signal(signal.SIGTERM, lambda *_: router.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    router.run()


def _fall(args: threading.ExceptHookArgs) -> None:
    """A thread that is gone would leave its sessions unserved: better a new router."""
    sys.excepthook(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)
    sys.stderr.flush()
    os._exit(BROKEN)


class Router:
    def __init__(self, ring_dir: str, runtime_dir: str, report: Callable[[str], None]) -> None:
        register()
        self._ring_dir = ring_dir
        self._report = report
        self._board = open_board(ring_dir)
        self._bell = open_reader_bell(ring_dir, on.LIVE_BELL)
        self._live = Live(ring_dir, router_socket_path(runtime_dir), order=self._carry_out, log_of=self._log_of)
        self._live.poll.register(self._bell, select.EPOLLIN)
        self._archivist = Archivist(report)
        self._lanes: dict[int, LogLane] = {}  # by device
        self._specs: dict[str, SinkSpec] = {}
        self._stopping = False

    def stop(self) -> None:
        """Also from a signal handler."""
        self._stopping = True
        self._bell.ring()

    def run(self) -> None:
        self._archivist.thread.start()
        for session in sessions_with_sinks(self._ring_dir):
            try:
                self._serve(session)
            except (IpcError, OSError) as error:
                self._report(f"session {session} is not served: {error}")
        while not self._stopping:
            self._turn()
        self._close()

    # --- what the last router died of ---

    def note_predecessor(self, *, fell: bool) -> None:
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        for bell in range(on.BELLS):
            served = self._board[on.serving_word(bell)]
            if fell and served:
                self._store_record(served - 1, after_death(self._record(served - 1), now_ns))
            self._board[on.serving_word(bell)] = 0
            self._board[on.sleeping_word(bell)] = 0

    def _record(self, slot: int) -> Record:
        first = on.death_word(slot, 0)
        return decode(self._board[first : first + on.DEATHS_KEPT + 1])

    def _store_record(self, slot: int, record: Record) -> None:
        first = on.death_word(slot, 0)
        for index, value in enumerate((*record.deaths_ns, record.aside_until_ns)):
            self._board[first + index] = value

    # --- the loop ---

    def _turn(self) -> None:
        self._live.send()
        sleeping = on.sleeping_word(on.LIVE_BELL)
        self._board[sleeping] = 1
        barrier()
        busy = self._live.has_news()
        events = self._live.poll.poll(0 if busy else None)
        self._board[sleeping] = 0
        for fd, event in events:
            if not self._live.dispatch(fd, event):
                self._bell.hush()
                self._live.look_again()

    def _close(self) -> None:
        for lane in self._lanes.values():
            lane.post(LogLane.stop)
        self._archivist.stop()
        for lane in self._lanes.values():
            lane.thread.join()
        self._archivist.thread.join()
        self._live.close()

    # --- orders ---

    def _carry_out(self, order: Order) -> FromRouter:
        match order:
            case Serve(id, session):
                self._serve(session)
            case Drop(id, session):
                self._drop(session)
            case LogOrder(id, action, sessions):
                self._log_order(action, sessions)
            case AskStatus(id):
                return self._status(id)
            case _:
                assert_never(order)
        return Done(id)

    def _serve(self, session: str) -> None:
        before = self._specs.get(session)
        spec = read_sink(self._ring_dir, session)
        self._specs[session] = spec
        if before is not None and before.log is not None and self._lane_of(before.log) is not self._lane(spec):
            self._lane_of(before.log).post(lambda lane: lane.drop(before.slot))
        record = self._record(spec.slot)
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        not_before_ns = 0
        if is_aside(record, now_ns):
            not_before_ns = time.monotonic_ns() + record.aside_until_ns - now_ns
            self._report(f"session {session} is set aside: three routers died of it within a minute")
        lane = self._lane(spec)
        if lane is not None:
            lane.post(lambda lane: lane.serve(spec, not_before_ns=not_before_ns))

    def _drop(self, session: str) -> None:
        self._live.forget(session)
        spec = self._specs.pop(session, None)
        lane = None if spec is None else self._lane(spec)
        if spec is not None and lane is not None:
            lane.post(lambda lane: lane.finish(spec.slot))

    def _log_order(self, action: str, sessions: list[str] | None) -> None:
        act = _ACTIONS.get(action)
        if act is None:
            raise IpcError(f"no such order: {action}")
        slots = (
            None if sessions is None else frozenset(self._specs[name].slot for name in sessions if name in self._specs)
        )
        for lane in self._lanes.values():
            lane.post(lambda lane: lane.for_sessions(slots, act))

    def _status(self, request: int) -> RouterStatus:
        failing = [status for lane in self._lanes.values() for status in lane.failing()]
        aside = [name for lane in self._lanes.values() for name in lane.set_aside()]
        return RouterStatus(request, self._live.subscribers, len(self._lanes), failing, aside)

    # --- lanes ---

    def _log_of(self, session: str) -> LogSpec | None:
        spec = self._specs.get(session)
        return None if spec is None else spec.log

    def _lane(self, spec: SinkSpec) -> LogLane | None:
        return None if spec.log is None else self._lane_of(spec.log)

    def _lane_of(self, log: LogSpec) -> LogLane:
        device = _device_of(log.directory)
        if device not in self._lanes:
            self._lanes[device] = self._new_lane()
        return self._lanes[device]

    def _new_lane(self) -> LogLane:
        """More devices than bells share the last lane."""
        number = on.FIRST_LOG_BELL + len(set(self._lanes.values()))
        if number > on.LAST_LOG_BELL:
            return next(lane for lane in self._lanes.values() if lane.number == on.LAST_LOG_BELL)
        bell = open_reader_bell(self._ring_dir, number)
        lane = LogLane(self._ring_dir, self._board, number, bell, self._report, self._archivist)
        lane.thread.start()
        return lane


_ACTIONS = {"rotate": SessionLog.rotate, "reopen": SessionLog.reopen, "clear": SessionLog.clear}


def _device_of(directory: str) -> int:
    """Of the directory, or of what it will be made in."""
    while True:
        try:
            return os.stat(directory).st_dev
        except FileNotFoundError:
            directory = os.path.dirname(directory) or "."
