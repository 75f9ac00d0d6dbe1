"""The output half of a viewer: what the router sends, on the user's terminal.

The picture is made from the past first (see recollection.py and picture.py), then everything is passed on as it comes.
When the router is lost the line is dialled again, and the output goes on at (epoch, offset). Where something is
missing, behind a gap, after we were stopped, where a notice was drawn, the picture is made anew.
"""

import time
from collections.abc import Iterator
from enum import Enum, auto

from ipc.frames import EndReason, Kind, decode_end, decode_resize
from ipc.mode_tracker import ModeTracker, Snapshot
from ipc.router_messages import Packet, Since
from ipc.terminal_modes import Modes, reset_sequence
from supervisor.cli.viewer.answers import FENCE, AnswerFilter
from supervisor.cli.viewer.notices import SHOW_S, fresh_screen, last_line, notice
from supervisor.cli.viewer.picture import picture_of
from supervisor.cli.viewer.recollection import Recollection
from supervisor.cli.viewer.router_link import Piece, RouterLink
from supervisor.cli.viewer.screen import PUSH_TITLE, Screen
from supervisor.cli.viewer.sizing import Size

_FENCE_S = 1.0
_PACKETS_A_TURN = 16


class Event(Enum):
    """What the input half wants to know."""

    PAINTED = auto()  # a picture is there
    BEGAN = auto()  # an epoch
    ENDED = auto()


class Display:
    def __init__(self, router: RouterLink, screen: Screen) -> None:
        self.router = router
        self._screen = screen
        self._recollection: Recollection | None = None
        self._tracker = ModeTracker()
        self._noted: Modes | None = None
        self._notice = ""
        self._notice_until_s: float | None = None
        self._filter: AnswerFilter | None = None
        self._filter_until_s = 0.0
        self.epoch = 0
        self.ended = False
        self.end_reason: EndReason | None = None
        self.size: Size | None = None  # the session's; no columns: it is on pipes
        self.in_doubt = False  # only the program can draw its screen
        self.keeps_notice = False

    @property
    def modes(self) -> Modes:
        return self._tracker.modes

    @property
    def has_picture(self) -> bool:
        return self._recollection is None

    def begin(self) -> None:
        self._screen.write(PUSH_TITLE + fresh_screen(self._screen.size()[1]))
        self.look_back()

    def look_back(self) -> None:
        """Show the session anew, from its past."""
        self._recollection = Recollection()
        self.subscribe()

    def subscribe(self) -> None:
        if self._recollection is not None:
            self._recollection.restart()
        origin = self._recollection.origin if self._recollection else Since(self.epoch, self._tracker.offset)
        self.router.subscribe(origin, time.monotonic())

    def receive(self) -> Iterator[Event]:
        """Some of what has come. Raises Dismissed."""
        now_s = time.monotonic()
        for _ in range(_PACKETS_A_TURN):
            piece = self.router.receive(now_s)
            if piece is None:
                return
            event = self._show(piece) if self._recollection is None else self._recollect(piece, self._recollection)
            if event is not None:
                yield event
            if self._screen.is_behind:
                return

    # --- the past ---

    def _recollect(self, piece: Piece, recollection: Recollection) -> Event | None:
        match piece.packet, piece.kind:
            case Packet.DATA, Kind.OUT:
                recollection.take(piece.epoch, piece.offset, piece.data)
            case Packet.DATA, Kind.BEGIN:
                recollection.begin_epoch(piece.epoch)
            case Packet.DATA, Kind.END:
                recollection.ended = True
            case Packet.CAUGHT_UP, _:
                recollection.begin_epoch(piece.epoch)
        if piece.packet is not Packet.CAUGHT_UP and not recollection.has_head:
            return None
        if recollection.is_enough():
            return self._paint(recollection)
        self.subscribe()
        return None

    def _paint(self, recollection: Recollection) -> Event:
        picture = picture_of(recollection.past())
        self._recollection = None
        self._screen.write(reset_sequence(self.modes) + b"\x1b[H\x1b[2J" + picture.shown + self._fence() + picture.rest)
        self._tracker, self.epoch, self.in_doubt = picture.tracker, recollection.epoch, picture.in_doubt
        self._note_reset()
        self._draw_notice()
        was_over, self.ended = self.ended, recollection.ended or not recollection.epoch
        if self.ended:
            return Event.ENDED
        return Event.BEGAN if was_over else Event.PAINTED

    # --- the present ---

    def _show(self, piece: Piece) -> Event | None:
        match piece.packet, piece.kind:
            case Packet.DATA, Kind.OUT:
                self._screen.write(piece.data)
                self._tracker.feed(piece.data)
                self._note_reset()
            case Packet.DATA, Kind.ERR:
                self._screen.write(piece.data)
            case Packet.DATA, Kind.BEGIN if piece.epoch != self.epoch:
                self._reset_terminal(ModeTracker())
                self.epoch, self.ended = piece.epoch, False
                return Event.BEGAN
            case Packet.DATA, Kind.END if not self.ended:  # a new line to the router says it again
                self.ended, self.end_reason = True, decode_end(piece.data).reason
                return Event.ENDED
            case Packet.DATA, Kind.RESIZE:
                self.size = Size(*decode_resize(piece.data))
            case Packet.GAP, Kind.OUT:
                self.look_back()
            case _:
                pass
        return None

    def say_at_end(self, text: str) -> None:
        """Below what the program left behind."""
        self._reset_terminal(ModeTracker(Snapshot(self._tracker.offset)))
        self._screen.write(last_line(text))

    def _reset_terminal(self, tracker: ModeTracker) -> None:
        self._screen.write(reset_sequence(self.modes))
        self._tracker = tracker
        self._note_reset()

    def _note_reset(self) -> None:
        """For the guard."""
        modes = self.modes
        if modes != self._noted:
            self._noted = modes
            self._screen.note_reset(reset_sequence(modes))

    # --- answers of the terminal ---

    def _fence(self) -> bytes:
        """A terminal that works by lines would echo its answer, and begin a line with it."""
        if self._screen.has_lines:
            return b""
        self._filter = self._filter or AnswerFilter()
        self._filter.fences += 1
        self._filter_until_s = time.monotonic() + _FENCE_S
        return FENCE

    def without_answers(self, typed: bytes) -> bytes:
        if self._filter is None:
            return typed
        typed = self._filter.feed(typed)
        if self._filter.over:
            self._filter = None
        return typed

    # --- notices and time ---

    def tell(self, text: str) -> None:
        self._notice = text
        self._draw_notice()

    def _draw_notice(self) -> None:
        """Once there is a picture to draw it on."""
        if self._notice and self.has_picture:
            self._screen.write(notice(self._notice, *self._screen.size()))
            self._notice_until_s = time.monotonic() + SHOW_S

    def deadlines_s(self) -> list[float | None]:
        return [
            self.router.redial.deadline_s(),
            None if self.keeps_notice else self._notice_until_s,
            None if self._filter is None else self._filter_until_s,
        ]

    def keep_time(self, now_s: float) -> bytes:
        """Gives keys that might have been the beginning of an answer."""
        if self._notice_until_s is not None and now_s >= self._notice_until_s and not self.keeps_notice:
            self._notice, self._notice_until_s = "", None
            self.look_back()
        if self.router.redial.is_due(now_s):
            self.subscribe()
        if self._filter is None or now_s < self._filter_until_s:
            return b""
        held, self._filter = self._filter.release(), None
        return held
