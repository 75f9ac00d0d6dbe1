"""A person's terminal at a session: what the program writes is shown, what is typed goes in.

Two lines, to the session's worker and to the router; the supervisor is not needed, and its restart is not felt. When
worker or router are killed their line is dialled again, and the output goes on at (epoch, offset): nothing is shown
twice. Only where something is missing, at the beginning, behind a gap, or after we were stopped, the picture is made
anew (see picture.py); then the answers that the terminal gives to old questions are kept from the program.

A keystroke costs one read, one packet to the worker, one packet from the router and one write. There are no timers but
the nearest deadline.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ipc.frames import EndReason, Kind, decode_end, decode_resize
from ipc.mode_tracker import ModeTracker, Snapshot
from ipc.router_messages import Packet, Since
from ipc.terminal_modes import Modes, reset_sequence
from ipc.worker_messages import Greeting, Lease
from supervisor.cli.viewer.answers import FENCE, AnswerFilter
from supervisor.cli.viewer.detach import DetachKey
from supervisor.cli.viewer.notices import SHOW_S, fresh_screen, last_line, notice
from supervisor.cli.viewer.picture import picture_of
from supervisor.cli.viewer.recollection import Recollection
from supervisor.cli.viewer.redial import GIVE_UP_AFTER_S, TELL_AFTER_S
from supervisor.cli.viewer.router_link import Dismissed, Piece, RouterLink
from supervisor.cli.viewer.screen import PUSH_TITLE, Screen, TerminalGone
from supervisor.cli.viewer.sizing import Policy, Size, jiggled, wanted_size
from supervisor.cli.viewer.worker_link import Role, WorkerLink

_FENCE_S = 1.0
_PACKETS_A_TURN = 16
_WATCHED = (
    signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT,
)  # fmt: skip


class Why(StrEnum):
    DETACHED = "detached"
    ENDED = "ended"
    TERMINAL_GONE = "its terminal is gone"
    SIGNALLED = "ended by a signal"
    NO_ANSWER = "nobody answers"
    NO_SESSION = "no such session"


@dataclass(frozen=True, slots=True)
class Farewell:
    why: Why
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """`how_ended` knows how an epoch ended, as far as anybody does."""

    detach_key: DetachKey
    role: Role = Role.CLAIMANT
    resize: Policy = Policy.WRITER
    exit_with_session: bool = False
    how_ended: Callable[[str, int], str | None] = lambda _session, _epoch: None


class Viewer:
    def __init__(self, session: str, router_path: str, worker_path: str, screen: Screen, wishes: Wishes) -> None:
        self._session = session
        self._wishes = wishes
        self._screen = screen
        self._router = RouterLink(router_path, session)
        self._worker = WorkerLink(worker_path, wishes.role, self._tell)
        self._recollection: Recollection | None = None
        self._tracker = ModeTracker()
        self._epoch = 0
        self._ended = False
        self._filter: AnswerFilter | None = None
        self._filter_until_s = 0.0
        self._notice = ""
        self._notice_until_s: float | None = None
        self._told_of_loss = False
        self._repaint = False
        self._size: Size | None = None  # the session's; no columns: it is on pipes
        self._noted: Modes | None = None
        self._farewell: Farewell | None = None

    def run(self) -> Farewell:
        signals, restore_signals = _signal_socket()
        self._signals = signals
        try:
            self._screen.write(PUSH_TITLE + fresh_screen(self._screen.size()[1]))
            self._look_back()
            self._worker.connect(time.monotonic())
            while self._farewell is None:
                self._turn()
        except TerminalGone as gone:
            self._farewell = Farewell(Why.TERMINAL_GONE, str(gone))
        except Dismissed as dismissed:
            self._farewell = Farewell(Why.NO_SESSION, str(dismissed))
        finally:
            restore_signals()
            signals.close()
            self._worker.hang_up()
            self._router.hang_up()
        return self._farewell

    @property
    def modes(self) -> Modes:
        return self._tracker.modes

    # --- one turn ---

    def _turn(self) -> None:
        for fd, event in self._watched().poll(self._timeout_ms()):
            if fd == self._screen.fd:
                self._serve_screen(event)
            elif fd == self._router.fileno():
                self._receive_output()
            elif fd == self._worker.fileno():
                self._receive_answers()
            elif fd == self._signals.fileno():
                for number in self._signals.recv(64):
                    self._handle(number)
            if self._farewell is not None:
                return
        self._keep_time(time.monotonic())

    def _watched(self) -> select.poll:
        """The router's line not while the terminal is behind, the keyboard not while too much waits to go in."""
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        keyboard = 0 if self._worker.outbox.is_full else select.POLLIN
        poll.register(self._screen.fd, keyboard | (select.POLLOUT if self._screen.has_unwritten else 0))
        if self._router.fileno() >= 0 and not self._screen.is_behind:
            poll.register(self._router.fileno(), select.POLLIN)
        if self._worker.fileno() >= 0:
            poll.register(self._worker.fileno(), select.POLLIN | (select.POLLOUT if self._worker.wants_to_send else 0))
        return poll

    def _timeout_ms(self) -> float | None:
        deadlines = [self._router.redial.deadline_s(), self._worker.redial.deadline_s()]
        if not self._told_of_loss:
            deadlines.append(self._notice_until_s)
        if self._filter is not None:
            deadlines.append(self._filter_until_s)
        nearest_s = min((deadline for deadline in deadlines if deadline is not None), default=None)
        return None if nearest_s is None else max(0.0, nearest_s - time.monotonic()) * 1000

    def _keep_time(self, now_s: float) -> None:
        if self._filter is not None and now_s >= self._filter_until_s:
            self._end_filter(self._filter.release())
        if self._notice_until_s is not None and now_s >= self._notice_until_s and not self._told_of_loss:
            self._end_notice()
        if self._router.redial.is_due(now_s):
            self._subscribe()
        if self._worker.redial.is_due(now_s):
            self._worker.connect(now_s)
        self._watch_loss(now_s)

    def _watch_loss(self, now_s: float) -> None:
        missed_s = max(self._router.redial.missed_s(now_s), self._worker.redial.missed_s(now_s))
        if missed_s >= GIVE_UP_AFTER_S:
            self._farewell = Farewell(Why.NO_ANSWER, f"no answer for {GIVE_UP_AFTER_S:.0f} s")
        elif missed_s >= TELL_AFTER_S and not self._told_of_loss:
            who = "router" if self._router.redial.is_lost else "worker"
            self._told_of_loss = True
            self._tell(f"{self._session}: waiting for its {who}")
        elif not missed_s and self._told_of_loss:
            self._told_of_loss = False

    # --- keyboard ---

    def _serve_screen(self, event: int) -> None:
        if event & select.POLLOUT:
            self._screen.flush()
        if event & select.POLLIN:
            self._type(self._screen.read())
        elif event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            raise TerminalGone("it was hung up")

    def _type(self, typed: bytes | None) -> None:
        if typed is None:
            return
        if not typed:
            self._worker.end_input()
            return
        if self._filter is not None:
            typed = self._filter.feed(typed)
            if self._filter.over:
                self._filter = None
        data, detached = self._wishes.detach_key.feed(typed)
        if detached:
            self._farewell = Farewell(Why.DETACHED)
        if not detached or not self._screen.has_lines:  # an unfinished line is no line
            self._put_in(data)

    def _put_in(self, data: bytes) -> None:
        """What nobody will read is answered by the bell."""
        if not data:
            return
        if self._worker.writes is False or self._ended:
            self._screen.write(b"\a")
        else:
            self._worker.type(data)

    def _end_filter(self, held: bytes) -> None:
        self._filter = None
        if held:
            self._type(held)

    # --- output ---

    def _look_back(self) -> None:
        """Show the session anew, from its past."""
        self._recollection = Recollection()
        self._subscribe()

    def _subscribe(self) -> None:
        if self._recollection is not None:
            self._recollection.restart()
        origin = self._recollection.origin if self._recollection else Since(self._epoch, self._tracker.offset)
        self._router.subscribe(origin, time.monotonic())

    def _receive_output(self) -> None:
        now_s = time.monotonic()
        for _ in range(_PACKETS_A_TURN):
            piece = self._router.receive(now_s)
            if piece is None or self._farewell is not None:
                return
            if self._recollection is not None:
                self._recollect(piece, self._recollection)
            else:
                self._show(piece)
            if self._screen.is_behind:
                return

    def _recollect(self, piece: Piece, recollection: Recollection) -> None:
        match piece.packet, piece.kind:
            case Packet.DATA, Kind.OUT:
                recollection.take(piece.epoch, piece.offset, piece.data)
            case Packet.DATA, Kind.BEGIN:
                recollection.begin_epoch(piece.epoch)
            case Packet.DATA, Kind.END:
                recollection.ended = True
            case Packet.CAUGHT_UP, _:
                recollection.begin_epoch(piece.epoch)
        if piece.packet is Packet.CAUGHT_UP or recollection.has_head:
            if recollection.is_enough():
                self._paint(recollection)
            else:
                self._subscribe()

    def _paint(self, recollection: Recollection) -> None:
        picture = picture_of(recollection.past())
        self._recollection = None
        self._screen.write(reset_sequence(self.modes) + b"\x1b[H\x1b[2J" + picture.shown + FENCE + picture.rest)
        self._tracker, self._epoch = picture.tracker, recollection.epoch
        self._filter = self._filter or AnswerFilter()
        self._filter.fences += 1
        self._filter_until_s = time.monotonic() + _FENCE_S
        self._repaint = picture.in_doubt
        self._note_reset()
        self._draw_notice()
        if recollection.ended or not recollection.epoch:
            self._ended = False
            self._end_epoch(None)
        else:
            self._fit()

    def _show(self, piece: Piece) -> None:
        match piece.packet, piece.kind:
            case Packet.DATA, Kind.OUT:
                self._screen.write(piece.data)
                self._tracker.feed(piece.data)
                self._note_reset()
            case Packet.DATA, Kind.ERR:
                self._screen.write(piece.data)
            case Packet.DATA, Kind.BEGIN:
                self._begin_epoch(piece.epoch)
            case Packet.DATA, Kind.END:
                self._end_epoch(decode_end(piece.data).reason)
            case Packet.DATA, Kind.RESIZE:
                self._size = Size(*decode_resize(piece.data))
            case Packet.GAP, Kind.OUT:
                self._look_back()
            case _:
                pass

    def _note_reset(self) -> None:
        """For the guard."""
        modes = self.modes
        if modes != self._noted:
            self._noted = modes
            self._screen.note_reset(reset_sequence(modes))

    # --- epochs ---

    def _end_epoch(self, reason: EndReason | None) -> None:
        if self._ended:  # a new line to the router says it again
            return
        self._ended = True
        self._worker.retire()
        how = self._wishes.how_ended(self._session, self._epoch)
        if how is None and reason is EndReason.FAILED:
            how = "its output could not be read any more"
        ended = f"{self._session} ended" + (f": {how}" if how else "")
        if self._wishes.exit_with_session:
            self._farewell = Farewell(Why.ENDED, ended)
            return
        self._screen.write(reset_sequence(self.modes))
        self._tracker = ModeTracker(Snapshot(self._tracker.offset))
        self._note_reset()
        leave = f", {self._wishes.detach_key.name} leaves" if self._wishes.detach_key.name else ""
        self._screen.write(last_line(f"[{ended}; waiting for its next start{leave}]"))

    def _begin_epoch(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        self._screen.write(reset_sequence(self.modes))
        self._tracker, self._epoch, self._ended = ModeTracker(), epoch, False
        self._note_reset()
        self._worker.connect(time.monotonic())

    # --- worker ---

    def _receive_answers(self) -> None:
        message = self._worker.receive(time.monotonic())
        if isinstance(message, Greeting):
            self._size = Size(message.cols, message.rows)
        if isinstance(message, Greeting | Lease):
            self._fit()
        self._worker.flush()  # what waited for the lease comes behind the size

    def _fit(self) -> None:
        """The session's terminal gets the size it should have, its program a reason to draw where it must."""
        theirs = self._size
        if theirs is None or not theirs.cols or self._worker.writes is None or self._recollection is not None:
            return
        size = theirs
        if self._wishes.role is not Role.WATCHER:
            size = wanted_size(self._wishes.resize, Size(*self._screen.size()), theirs, writes=self._worker.writes)
        if size == theirs and self._repaint:
            self._worker.resize(*jiggled(size))
        if size != theirs or self._repaint:
            self._worker.resize(*size)
        self._size, self._repaint = size, False

    # --- the rest of the world ---

    def _tell(self, text: str) -> None:
        self._notice = text
        self._draw_notice()

    def _draw_notice(self) -> None:
        """Once there is a picture to draw it on."""
        if self._notice and self._recollection is None:
            self._screen.write(notice(self._notice, *self._screen.size()))
            self._notice_until_s = time.monotonic() + SHOW_S

    def _end_notice(self) -> None:
        self._notice, self._notice_until_s = "", None
        self._look_back()

    def _handle(self, number: int) -> None:
        match number:
            case signal.SIGWINCH:
                self._fit()
            case signal.SIGTSTP:
                self._suspend()
            case signal.SIGCONT:
                self._screen.enter()
                self._look_back()
            case signal.SIGHUP:
                self._farewell = Farewell(Why.TERMINAL_GONE)
            case _:
                self._farewell = Farewell(Why.SIGNALLED, signal.Signals(number).name)

    def _suspend(self) -> None:
        """The SIGCONT that ends it has a handler of its own."""
        self._screen.leave(reset_sequence(self.modes) + last_line(f"[{self._session} goes on meanwhile]"))
        os.kill(os.getpid(), signal.SIGSTOP)  # a SIGTSTP would be ignored where no shell watches


def _signal_socket() -> tuple[socket.socket, Callable[[], None]]:
    """Signals as bytes to read; and how to go back to what was before."""
    reads, writes = socket.socketpair()
    reads.setblocking(False)
    writes.setblocking(False)
    fd_before = signal.set_wakeup_fd(writes.fileno())
    handlers: dict[int, Any] = {number: signal.signal(number, lambda *_: None) for number in _WATCHED}

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        writes.close()

    return reads, restore
