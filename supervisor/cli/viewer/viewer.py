"""A person's terminal at a session: what the program writes is shown, what is typed goes in.

Two lines, to the session's worker and to the router; the supervisor is not needed, and its restart is not felt. When
worker or router are killed their line is dialled again, and nothing is shown or typed twice. The output half is in
display.py; here are the keyboard, the worker, sizes and signals.

A keystroke costs one read, one packet to the worker, one packet from the router and one write. There are no timers but
the nearest deadline.
"""

import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from ipc.frames import EndReason
from ipc.terminal_modes import Modes, reset_sequence
from ipc.worker_messages import Greeting, Lease
from supervisor.cli.viewer.detach import DetachKey
from supervisor.cli.viewer.display import Display, Event
from supervisor.cli.viewer.notices import last_line
from supervisor.cli.viewer.redial import GIVE_UP_AFTER_S, TELL_AFTER_S
from supervisor.cli.viewer.router_link import Dismissed, RouterLink
from supervisor.cli.viewer.screen import Screen, TerminalGone
from supervisor.cli.viewer.signals import SignalSocket
from supervisor.cli.viewer.sizing import Policy, Size, jiggled, wanted_size
from supervisor.cli.viewer.worker_link import Role, WorkerLink


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
    """`how_ended` knows how an epoch ended, as far as anybody does; `end_input` tells the keeper of an end of file."""

    detach_key: DetachKey
    role: Role = Role.CLAIMANT
    resize: Policy = Policy.WRITER
    exit_with_session: bool = False
    how_ended: Callable[[str, int], str | None] = lambda _session, _epoch: None
    end_input: Callable[[str], None] = lambda _session: None


class Viewer:
    def __init__(self, session: str, router_path: str, worker_path: str, screen: Screen, wishes: Wishes) -> None:
        self._session = session
        self._wishes = wishes
        self._screen = screen
        self._display = Display(RouterLink(router_path, session), screen)
        self._worker = WorkerLink(worker_path, wishes.role, self._display.tell)
        self._farewell: Farewell | None = None

    @property
    def modes(self) -> Modes:
        return self._display.modes

    def run(self) -> Farewell:
        signals = SignalSocket()
        try:
            self._display.begin()
            self._worker.connect(time.monotonic())
            while self._farewell is None:
                self._turn(signals)
        except TerminalGone as gone:
            self._farewell = Farewell(Why.TERMINAL_GONE, str(gone))
        except Dismissed as dismissed:
            self._farewell = Farewell(Why.NO_SESSION, str(dismissed))
        finally:
            signals.close()
            self._worker.hang_up()
            self._display.router.hang_up()
        return self._farewell

    # --- one turn ---

    def _turn(self, signals: SignalSocket) -> None:
        for fd, event in self._watched(signals).poll(self._timeout_ms()):
            if fd == self._screen.fd:
                self._serve_screen(event)
            elif fd == self._display.router.fileno():
                for happened in self._display.receive():
                    self._heed(happened)
            elif fd == self._worker.fileno():
                self._receive_answers()
            elif fd == signals.fileno():
                for number in signals.take():
                    self._handle(number)
            if self._farewell is not None:
                return
        self._keep_time(time.monotonic())

    def _watched(self, signals: SignalSocket) -> select.poll:
        """The router's line not while the terminal is behind, the keyboard not while too much waits to go in."""
        poll = select.poll()
        poll.register(signals, select.POLLIN)
        keyboard = 0 if self._worker.outbox.is_full else select.POLLIN
        poll.register(self._screen.fd, keyboard | (select.POLLOUT if self._screen.has_unwritten else 0))
        if self._display.router.fileno() >= 0 and not self._screen.is_behind:
            poll.register(self._display.router.fileno(), select.POLLIN)
        if self._worker.fileno() >= 0:
            poll.register(self._worker.fileno(), select.POLLIN | (select.POLLOUT if self._worker.wants_to_send else 0))
        return poll

    def _timeout_ms(self) -> float | None:
        deadlines = [self._worker.redial.deadline_s(), *self._display.deadlines_s()]
        nearest_s = min((deadline for deadline in deadlines if deadline is not None), default=None)
        return None if nearest_s is None else max(0.0, nearest_s - time.monotonic()) * 1000

    def _keep_time(self, now_s: float) -> None:
        self._take_keys(self._display.keep_time(now_s))
        if self._worker.redial.is_due(now_s):
            self._worker.connect(now_s)
        self._watch_loss(now_s)

    def _watch_loss(self, now_s: float) -> None:
        """A line that is gone for longer is worth a word, which stays until it is back."""
        router = self._display.router.redial
        missed_s = max(router.missed_s(now_s), self._worker.redial.missed_s(now_s))
        if missed_s >= GIVE_UP_AFTER_S:
            self._farewell = Farewell(Why.NO_ANSWER, f"no answer for {GIVE_UP_AFTER_S:.0f} s")
        elif missed_s >= TELL_AFTER_S and not self._display.keeps_notice:
            self._display.keeps_notice = True
            self._display.tell(f"{self._session}: waiting for its {'router' if router.is_lost else 'worker'}")
        elif not missed_s:
            self._display.keeps_notice = False

    # --- keyboard ---

    def _serve_screen(self, event: int) -> None:
        if event & select.POLLOUT:
            self._screen.flush()
        if event & select.POLLIN:
            self._type(self._screen.read())
        elif event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            raise TerminalGone("it was hung up")

    def _type(self, typed: bytes | None) -> None:
        match typed:
            case None:
                pass
            case b"":
                self._worker.end_input()
                if self._worker.writes:
                    self._wishes.end_input(self._session)
            case _:
                self._take_keys(self._display.without_answers(typed))

    def _take_keys(self, typed: bytes) -> None:
        data, detached = self._wishes.detach_key.feed(typed)
        if detached:
            self._farewell = Farewell(Why.DETACHED)
        if data and not (detached and self._screen.has_lines):  # an unfinished line is no line
            self._put_in(data)

    def _put_in(self, data: bytes) -> None:
        """What nobody will read is answered by the bell."""
        if self._worker.writes is False or self._display.ended:
            self._screen.write(b"\a")
        else:
            self._worker.type(data)

    # --- the session ---

    def _heed(self, event: Event) -> None:
        match event:
            case Event.PAINTED:
                self._fit()
            case Event.BEGAN:
                self._worker.connect(time.monotonic())
            case Event.ENDED:
                self._worker.retire()
                self._end()
            case _:
                assert_never(event)

    def _end(self) -> None:
        how = self._wishes.how_ended(self._session, self._display.epoch)
        if how is None and self._display.end_reason is EndReason.FAILED:
            how = "its output could not be read any more"
        ended = f"{self._session} ended" + (f": {how}" if how else "")
        if self._wishes.exit_with_session:
            self._farewell = Farewell(Why.ENDED, ended)
            return
        leave = f", {self._wishes.detach_key.name} leaves" if self._wishes.detach_key.name else ""
        self._display.say_at_end(f"[{ended}; waiting for its next start{leave}]")

    def _receive_answers(self) -> None:
        message = self._worker.receive(time.monotonic())
        if isinstance(message, Greeting):
            self._display.size = Size(message.cols, message.rows)
        if isinstance(message, Greeting | Lease):
            self._fit()
        self._worker.flush()  # what waited for the lease comes behind the size

    def _fit(self) -> None:
        """The session's terminal gets the size it should have, its program a reason to draw where it must."""
        theirs, writes = self._display.size, self._worker.writes
        if theirs is None or not theirs.cols or writes is None or not self._display.has_picture:
            return
        size = theirs
        if self._wishes.role is not Role.WATCHER:
            size = wanted_size(self._wishes.resize, Size(*self._screen.size()), theirs, writes=writes)
        if size == theirs and self._display.in_doubt:
            self._worker.resize(*jiggled(size))
        if size != theirs or self._display.in_doubt:
            self._worker.resize(*size)
        self._display.size, self._display.in_doubt = size, False

    # --- signals ---

    def _handle(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGWINCH:
                self._fit()
            case signal.SIGTSTP:
                self._suspend()
            case signal.SIGCONT:
                self._screen.enter()
                self._display.look_back()
            case signal.SIGHUP:
                self._farewell = Farewell(Why.TERMINAL_GONE)
            case _:
                self._farewell = Farewell(Why.SIGNALLED, number.name)

    def _suspend(self) -> None:
        """The SIGCONT that ends it has a handler of its own."""
        self._screen.leave(reset_sequence(self.modes) + last_line(f"[{self._session} goes on meanwhile]"))
        os.kill(os.getpid(), signal.SIGSTOP)  # a SIGTSTP would be ignored where no shell watches
