"""The router: one process that reads all rings and fans out.

    main thread     attached terminals and subscribers, the supervisor's orders      ipc/live.py
    a log lane      for each device that logs lie on                                 ipc/lanes.py, ipc/log_lane.py
    its archivist   compresses and deletes rotated parts                             ipc/archivist.py
    a replay        for each subscriber who wants what only the log still has        ipc/log_replay.py

It runs no user code and parses no message. It needs nobody to start it up: the sink files beside the rings say what
to do, the cursors in the rings and the logs' own indexes where to go on. Whom each thread serves stands on the board,
and which thread fell in its last words, so that the next router knows what the last one died of.

Whatever may hang, hangs in a thread of its own that is waited for until a deadline and never longer.
"""

import contextlib
import fcntl
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import assert_never

from setproctitle import setproctitle

from ipc import board as on
from ipc.errors import IpcError
from ipc.lanes import Lanes
from ipc.last_words import LastWords
from ipc.live import Live, Order
from ipc.log_lane import LogLane
from ipc.ordering import register
from ipc.quarantine import Record, after_death, decode, is_aside
from ipc.ring_dir import board_path, open_board, open_reader_bell
from ipc.router_messages import (
    MOST_NAMED,
    AskStatus,
    Done,
    Drop,
    Failed,
    FromRouter,
    LogOrder,
    RouterStatus,
    Serve,
)
from ipc.sink_spec import SinkSpec, read_sink, sessions_with_sinks

BROKEN = 70  # the exit code of a router that fell over its own exception
CLOSE_MAX_S = 3.0
_SWITCH_INTERVAL_S = 0.0005  # a lane that computes gives way to a keystroke


def router_socket_path(runtime_dir: str) -> str:
    return f"{runtime_dir}/router.sock"


def run(ring_dir: str, runtime_dir: str, *, predecessor_fell: bool, report: Callable[[str], None]) -> None:
    """Until SIGTERM. `predecessor_fell`: the last router died of itself, not of somebody's SIGKILL."""
    setproctitle("ringvisor: router")
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    _raise_fd_limit()
    with _only_router(ring_dir, report):
        words = LastWords(ring_dir)
        router = Router(ring_dir, runtime_dir, words, report)
        router.note_predecessor(fell=predecessor_fell)
        words.begin()
        threading.excepthook = lambda fall: _fall(words, fall.exc_value or fall.exc_type())
        # The kernel gives a signal to any thread, but only the main one runs handlers: it must not sleep on meanwhile.
        signal.set_wakeup_fd(router.wakeup_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: router.stop())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            router.run()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the lanes must not live on alone
            _fall(words, error)


def _fall(words: LastWords, error: BaseException) -> None:
    """A thread that is gone would leave its sessions unserved: better a new router."""
    words.say(error)
    sys.excepthook(type(error), error, error.__traceback__)
    sys.stderr.flush()
    os._exit(BROKEN)


def _raise_fd_limit() -> None:
    """A thousand sessions have more logs than a process may usually have files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def _only_router(ring_dir: str, report: Callable[[str], None]) -> Iterator[None]:
    """Two that read with the same cursors would write every byte twice. The lock ends with the process."""
    with open(board_path(ring_dir), "rb") as board:
        try:
            fcntl.flock(board, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"another router serves {ring_dir}: end it first")
            raise SystemExit(1) from None
        yield


class Router:
    def __init__(self, ring_dir: str, runtime_dir: str, words: LastWords, report: Callable[[str], None]) -> None:
        register()
        self._ring_dir = ring_dir
        self._words = words
        self._report = report
        self._board = open_board(ring_dir)
        self._live = Live(
            ring_dir, router_socket_path(runtime_dir), self._board, order=self._carry_out, spec_of=self._spec_of
        )
        self._lanes = Lanes(ring_dir, self._new_lane, self._live.post, self._aside_until_ns)
        self._stopping = False

    @property
    def wakeup_fd(self) -> int:
        return self._live.wakeup_fd

    def stop(self) -> None:
        """From a signal handler."""
        self._stopping = True
        self._live.wake()

    def run(self) -> None:
        self._words.note_thread(threading.get_ident(), on.LIVE_BELL)
        self._serve_all()
        while not self._stopping:
            self._live.turn()
        self._close()

    def _serve_all(self) -> None:
        specs = []
        for session in sessions_with_sinks(self._ring_dir):
            try:
                specs.append((read_sink(self._ring_dir, session), self._report_wrong))
            except (IpcError, OSError, ValueError) as error:
                self._report(f"session {session} is not served: {error}")
        self._lanes.serve_all(specs)

    def _report_wrong(self, wrong: str | None) -> None:
        if wrong is not None:
            self._report(wrong)

    def _close(self) -> None:
        self._live.close()
        for lane in self._lanes.stop(time.monotonic() + CLOSE_MAX_S):
            hanging = ", ".join(status.session for status in lane.sessions.failing())
            self._report(f"logs {lane.number} did not end in time ({hanging}): the next router goes on at the cursors")

    # --- what the last router died of ---

    def note_predecessor(self, *, fell: bool) -> None:
        """Only a thread's last words count against the session it served: a SIGKILL proves nothing, nor does a thread
        that was at work when another one fell."""
        death = self._words.of_predecessor()
        if death is not None or fell:
            self._report(f"the last router died of itself: {death.what if death else 'it left no word why'}")
        for bell in range(on.BELLS - 1):
            served = self._board[on.serving_word(bell)]
            if served and death is not None and death.bell == bell:
                now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
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

    def _aside_until_ns(self, spec: SinkSpec) -> int:
        """On the monotonic clock; 0: it may be served."""
        record = self._record(spec.slot)
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if not is_aside(record, now_ns):
            return 0
        return time.monotonic_ns() + record.aside_until_ns - now_ns

    def _spec_of(self, session: str) -> SinkSpec:
        """Of a session that somebody wants to follow."""
        spec = self._lanes.spec_of(session) or read_sink(self._ring_dir, session)
        if is_aside(self._record(spec.slot), time.clock_gettime_ns(time.CLOCK_BOOTTIME)):
            raise IpcError("it is set aside for a while, three routers died of it within a minute")
        return spec

    # --- orders ---

    def _carry_out(self, order: Order, answer: Callable[[FromRouter], None]) -> None:
        def is_done(wrong: str | None) -> None:
            answer(Done(order.id) if wrong is None else Failed(order.id, wrong))

        match order:
            case Serve(_, session):
                self._lanes.serve(read_sink(self._ring_dir, session), is_done)
            case Drop(_, session):
                self._live.forget(session)
                self._lanes.drop(session, is_done)
            case LogOrder(_, action, sessions):
                self._lanes.log_order(action, sessions, is_done)
            case AskStatus(id):
                answer(self._status(id))
            case _:
                assert_never(order)

    def _status(self, request: int) -> RouterStatus:
        failing, aside = self._lanes.failing(), self._lanes.set_aside()
        return RouterStatus(
            request,
            self._live.subscribers,
            len(self._lanes.all),
            failing[:MOST_NAMED],
            len(failing),
            aside[:MOST_NAMED],
            len(aside),
        )

    def _new_lane(self, number: int) -> LogLane:
        bell = open_reader_bell(self._ring_dir, number)
        return LogLane(
            self._ring_dir,
            self._board,
            number,
            bell,
            report=self._report,
            began=lambda ident: self._words.note_thread(ident, number),
        )
