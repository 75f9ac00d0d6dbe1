"""`send`: types into a session, and says how far it came.

    queued      the worker has it, the program's side takes nothing now
    written     it has gone into the terminal or the pipe
    echoed      the program has written the text back
    accepted    it has written something after Enter

A full-screen program that gets text and Enter in one piece takes both for a paste, and Enter is lost. So the text goes
in first, as a bracketed paste where the program asked for one, and Enter is a write of its own once the output has been
quiet for a moment.
"""

import re
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from ipc.frames import Kind
from ipc.mode_tracker import ModeTracker
from ipc.router_messages import Now, Packet
from ipc.terminal_modes import CURSOR_KEYS, PASTE
from ipc.worker_messages import Discarded, Greeting, Refused
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.keys import Key, key_bytes
from supervisor.cli.viewer.places import Place, router_path, worker_path
from supervisor.cli.viewer.router_link import Dismissed
from supervisor.cli.viewer.watch import Watch, modes_now
from supervisor.cli.viewer.worker_link import Role, WorkerLink

_QUIET_S = 0.1
_QUIET_MAX_S = 2.0
_ECHO_BYTES = 24  # of the end of the text: enough to know it again
_NO_WORKER_S = 1.0
_BEGIN_PASTE, _END_PASTE = b"\x1b[200~", b"\x1b[201~"
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])|[\x00-\x20]")


class Progress(IntEnum):
    QUEUED = 0
    WRITTEN = 1
    ECHOED = 2
    ACCEPTED = 3


@dataclass(frozen=True, slots=True)
class Words:
    """What to type, in this order."""

    text: bytes = b""
    enter: bool = False
    keys: Sequence[Key] = ()
    eof: bool = False


def send(place: Place, words: Words, timeout_s: float) -> Progress:
    """Raises Refusal."""
    deadline_s = time.monotonic() + timeout_s
    try:
        sender = Sender(place, deadline_s)
        try:
            return _send(sender, words, place, deadline_s)
        finally:
            sender.close()
    except Dismissed as dismissed:
        raise Refusal(str(dismissed), Exit.NO_SUCH) from dismissed


def _send(sender: "Sender", words: Words, place: Place, deadline_s: float) -> Progress:
    on_pipes = not sender.greeting.cols
    if on_pipes and words.keys:
        raise Refusal(f"{place.session} runs on pipes: there are no keys, send it text or --eof", Exit.USAGE)
    modes = ModeTracker() if on_pipes else modes_now(router_path(place), place.session, deadline_s)
    progress = Progress.QUEUED
    if words.text:
        progress = sender.type(words.text if on_pipes else as_typed(words.text, modes))
        if progress and sender.sees_echo_of(words.text):
            progress = Progress.ECHOED
    strokes = [key_bytes(key, application_cursor=modes.modes.is_on(CURSOR_KEYS)) for key in words.keys]
    if words.enter:
        strokes.insert(0, b"\n" if on_pipes else b"\r")
    for stroke in strokes:
        if words.text or stroke != strokes[0]:
            sender.wait_for_quiet()
        written = sender.type(stroke)
        progress = max(progress, written) if written else Progress.QUEUED
    if words.eof:
        progress = max(progress, sender.end_input())
    if words.enter and progress and sender.sees(bool):
        progress = Progress.ACCEPTED
    return progress


def as_typed(text: bytes, modes: ModeTracker) -> bytes:
    """As a terminal types or pastes it: a line ends with the Enter key."""
    typed = text.replace(_END_PASTE, b"").replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    return _BEGIN_PASTE + typed + _END_PASTE if modes.modes.is_on(PASTE) else typed


class Sender:
    """Both lines at once: what goes in and what comes back."""

    def __init__(self, place: Place, deadline_s: float) -> None:
        self._session = place.session
        self._deadline_s = deadline_s
        self._link = WorkerLink(worker_path(place), Role.SENDER, lambda _: None)
        self._watch = Watch(router_path(place), place.session, Now())
        self._live = False
        self._seen = b""
        self._refused: Refused | None = None
        self._discarded = False
        self._ended = False
        self._link.connect(time.monotonic())
        self._run(lambda: self._link.greeting is not None and self._live, time.monotonic() + _NO_WORKER_S)
        if self._link.greeting is None:
            self.close()
            raise Refusal(f"{place.session} does not run: ringctl start {place.session}, then send again")
        self.greeting: Greeting = self._link.greeting

    def close(self) -> None:
        self._link.hang_up()
        self._watch.close()

    def type(self, data: bytes) -> Progress:
        """Until all of it has gone in, or no time is left."""
        self._seen = b""
        self._link.type(data)
        return self._until_written()

    def end_input(self) -> Progress:
        self._seen = b""
        self._link.end_input()
        return self._until_written()

    def _until_written(self) -> Progress:
        done = self._run(lambda: not self._link.outbox or self._stopped, self._deadline_s)
        if self._refused is not None:
            raise Refusal(_why(self._session, self._refused))
        if self._discarded or (self._ended and self._link.outbox):
            why = "it ended" if self._ended else "a Ctrl-C swept it away"
            raise Refusal(f"{self._session}: not all of it went in: {why}")
        return Progress.WRITTEN if done else Progress.QUEUED

    @property
    def _stopped(self) -> bool:
        return self._refused is not None or self._discarded or self._ended

    def sees_echo_of(self, text: bytes) -> bool:
        wanted = visible(text)[-_ECHO_BYTES:]
        return bool(wanted) and self.sees(lambda seen: wanted in visible(seen))

    def sees(self, wanted: Callable[[bytes], bool]) -> bool:
        """In what came since the last write, or comes soon."""
        return self._run(lambda: wanted(self._seen), min(self._deadline_s, time.monotonic() + _QUIET_MAX_S / 2))

    def wait_for_quiet(self) -> None:
        until_s = min(self._deadline_s, time.monotonic() + _QUIET_MAX_S)
        while self._sees_more() and time.monotonic() < until_s:
            pass

    def _sees_more(self) -> bool:
        before = len(self._seen)
        return self._run(lambda: len(self._seen) != before, time.monotonic() + _QUIET_S)

    def _run(self, done: Callable[[], bool], deadline_s: float) -> bool:
        while not done():
            now_s = time.monotonic()
            if now_s >= deadline_s:
                return False
            self._turn(deadline_s, now_s)
        return True

    def _turn(self, deadline_s: float, now_s: float) -> None:
        waits = [self._link.redial.deadline_s(), self._watch.link.redial.deadline_s()]
        wake_s = min([deadline_s, *(wait for wait in waits if wait is not None)])
        reads = [fd for fd in (self._link.fileno(), self._watch.link.fileno()) if fd >= 0]
        writes = [self._link.fileno()] if self._link.wants_to_send else []
        select.select(reads, writes, [], max(0.0, wake_s - now_s))
        now_s = time.monotonic()
        if self._link.redial.is_due(now_s):
            self._link.connect(now_s)
        self._listen(now_s)
        self._link.flush()

    def _listen(self, now_s: float) -> None:
        for piece in self._watch.take(now_s):
            self._live = self._live or piece.packet is Packet.CAUGHT_UP
            if piece.kind == Kind.END:
                self._ended = True
            elif piece.packet is Packet.DATA and piece.kind in {Kind.OUT, Kind.ERR}:
                self._seen += piece.data
        while (answer := self._link.receive(now_s)) is not None:  # a worker says all it has to say before the end
            match answer:
                case Refused():
                    self._refused = answer
                case Discarded():
                    self._discarded = True


def visible(data: bytes) -> bytes:
    """Without sequences and blanks: programs wrap and colour what they echo."""
    return _SEQUENCE.sub(b"", data)


def _why(session: str, refused: Refused) -> str:
    match refused.reason:
        case "canonical_line_too_long":
            return f"{session}: its terminal would cut a line of over 4095 bytes; send a file's name, or shorter lines"
        case "input_full":
            return f"{session} does not read: {refused.queued_bytes} bytes wait already; ringctl inspect {session}"
        case "input_closed":
            return f"{session} has no input any more: it was closed with --eof"
        case _:
            return f"{session}: {refused.reason}"
