"""Follows a terminal's modes through its output, without drawing anything. Pure, in pieces of any size.

Facts. Emulating a terminal in Python takes a second for half a megabyte; finding the few sequences that change modes
takes a second for hundreds. So the bytes are not parsed: one regular expression jumps from one sequence of interest to
the next, in C. Colours are too frequent even for that: they are looked at only where somebody may ask for them, and
from the last reset on.

A safe point is a place in the stream from which a terminal that was given the modes of that place shows the right
screen: where the screen was cleared, or the alternate one entered. Each screen has its own; that of the alternate one
is forgotten with it. The cursor's place is not known there, and taken to be at home: programs clear and home together.

What the pieces cut in two, a sequence or a UTF-8 character, waits as `pending`. Decisions look only at bytes from the
ESC on, and each form has a longest length, so that no split changes what is found and no stream makes it slow.
"""

import functools
import re
from typing import Final

import msgspec

from ipc.terminal_modes import ALTERNATE, DEFAULT_ON, FRESH, Modes

_IGNORED = frozenset({2, 3, 1048})  # VT52, the width of a VT100, a saved cursor
_MOST_PRIVATE = 64
_MOST_RENDITIONS = 16
_MOST_KEYBOARDS = 8
_MOST_STRING_BYTES = 4096

_AFTER_ESC = rb"""
    \x1b(?:
        \[(?P<mark>2J|!p|\?[0-9;]{0,99}4[79][0-9;]{0,99}[hl])
      | \[\?(?P<private>[0-9;]{0,249}+[hl])
      | \[(?P<csi>[<=>]?[0-9;:]{0,250}+[ ]?[hlqru]|>[0-9;:]{0,250}+m)
      | (?P<designate>[()*+\-./][ -/]?[0-~])
      | (?P<keypad>[=>])
      | (?P<reset>c)
      | \](?P<osc>[^\x07\x18\x1a\x1b]*)(?P<osc_end>\x07|\x1b\\|(?=[\x18\x1a]|\x1b[^\\])|\x1b?\Z)
      | [PX^_][^\x18\x1a\x1b]*(?P<end>\x1b\\|(?=[\x18\x1a]|\x1b[^\\])|\x1b?\Z)
    )"""
_SEQUENCE = re.compile(_AFTER_ESC, re.VERBOSE)
_SEQUENCE_OR_SHIFT = re.compile(rb"(?P<shift>[\x0e\x0f])|" + _AFTER_ESC, re.VERBOSE)
_RENDITION = re.compile(rb"\x1b\[([0-9;:]{0,250}+)m")
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]{0,251}[ -/]{0,4}|[ -/]{0,4})")
_UNFINISHED_CHARACTER = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")


class SafePoint(msgspec.Struct, frozen=True):
    offset: int
    modes: Modes  # just before it


class Snapshot(msgspec.Struct, frozen=True):
    """All that a tracker knows, as a value that can be stored."""

    offset: int = 0
    modes: Modes = FRESH
    pending: bytes = b""
    pending_from: int = 0
    main_point: SafePoint | None = None
    alternate_point: SafePoint | None = None
    entered: int | None = None  # where the alternate screen that is on was switched to
    knows_screen: bool = True  # False: it began in the middle, and has not seen yet which screen is on


class ModeTracker:
    def __init__(self, begin: Snapshot = Snapshot()) -> None:  # noqa: B008 - frozen
        self.offset = begin.offset
        self._modes = begin.modes
        self._private = dict(begin.modes.private)  # changes with every picture that is drawn: not worth a value each
        self.main_point = begin.main_point
        self.alternate_point = begin.alternate_point
        self.entered = begin.entered
        self.knows_screen = begin.knows_screen
        self._pending = begin.pending
        self._pending_from = begin.pending_from

    def snapshot(self) -> Snapshot:
        points = self.main_point, self.alternate_point, self.entered
        return Snapshot(self.offset, self.modes, self._pending, self._pending_from, *points, self.knows_screen)

    @property
    def modes(self) -> Modes:
        return msgspec.structs.replace(self._modes, private=dict(self._private))

    @property
    def boundary(self) -> int:
        """The last place at which the stream stood between two characters or sequences."""
        return self._pending_from if self._pending else self.offset

    @property
    def safe_point(self) -> SafePoint | None:
        """The last one of the screen that is on."""
        return self.alternate_point if self._modes.alternate else self.main_point

    def feed(self, data: bytes) -> None:
        self.offset += len(data)
        if self._pending:
            data = self._pending + data
        origin = self.offset - len(data)  # not of what stands in a string that was shortened: nobody asks there
        pattern = _SEQUENCE_OR_SHIFT if b"\x0e" in data or b"\x0f" in data else _SEQUENCE
        rendered = 0
        for match in pattern.finditer(data):
            match match.lastgroup:
                case "private":
                    self._set_private(match["private"], origin + match.start())
                case "osc_end" | "end" if _is_cut(match, len(data)):
                    self._render(data[rendered : match.start()])
                    self._keep_string(data, match.start(), origin)
                    return
                case "mark":
                    self._render(data[rendered : match.start()])
                    rendered = match.end()
                    self._mark(match["mark"], origin + match.start())
                case "csi":
                    self._control(match["csi"])
                case "reset":
                    rendered = match.end()
                    self._reset(origin + match.start())
                case "keypad":
                    self._change(keypad=match["keypad"] == b"=")
                case "designate":
                    self._designate(match["designate"])
                case "osc_end":
                    self._command(match["osc"])
                case "shift":
                    self._change(shifted=match[0] == b"\x0e")
                case _:
                    pass
        self._render(data[rendered:])
        self._keep_unfinished(data, origin)

    # --- what is cut ---

    def _keep_string(self, data: bytes, start: int, origin: int) -> None:
        """Of one that is too long to matter only what tells so, and the ESC that may end it."""
        if not self._pending or start:
            self._pending_from = origin + start
        kept = data[start : start + _MOST_STRING_BYTES + 4]
        cut_in_end = data.endswith(b"\x1b") and start + len(kept) < len(data)
        self._pending = kept + (b"\x1b" if cut_in_end else b"")

    def _keep_unfinished(self, data: bytes, origin: int) -> None:
        start = data.rfind(b"\x1b")
        if start < 0 or not _UNFINISHED.fullmatch(data, start):
            found = _UNFINISHED_CHARACTER.search(data[-3:])
            start = len(data) - len(found[0]) if found else len(data)
        self._pending = data[start:]
        self._pending_from = origin + start

    # --- what it means ---

    def _change(self, **changes: object) -> None:
        self._modes = msgspec.structs.replace(self._modes, **changes)

    def _control(self, body: bytes) -> None:
        """What follows ESC [, told apart by its first and its last byte."""
        match body[:1], body[-1:]:
            case (b">" | b"<" | b"=") as lead, b"u":
                self._set_keyboard(lead, _numbers(body[1:-1]))
            case b">", b"m":
                self._set_other_keys(body[1:-1])
            case ((b"<" | b"=" | b">"), _):
                pass
            case _, b"q" if body.endswith(b" q"):
                self._change(cursor_style=body[:-2].strip(b"0"))
            case _, b"r":
                self._change(scroll_region=body[:-1].strip(b" "))
            case _, (b"h" | b"l") as final:
                self._set_ansi(_numbers(body[:-1]), on=final == b"h")
            case _:
                pass

    def _set_private(self, body: bytes, offset: int) -> None:
        on = body.endswith(b"h")
        for mode in _numbers(body[:-1]):
            if mode in ALTERNATE:
                self._switch_screen(mode if on else 0, offset)
            elif mode not in _IGNORED:
                self._private.pop(mode, None)
                if on != (mode in DEFAULT_ON) and len(self._private) < _MOST_PRIVATE:
                    self._private[mode] = on

    def _mark(self, body: bytes, offset: int) -> None:
        """Where the colours that are on count."""
        match body:
            case b"2J" if self._modes.alternate:
                self.alternate_point = SafePoint(offset, self.modes)
            case b"2J":
                self.main_point = SafePoint(offset, self.modes)
            case b"!p":
                self._reset_softly()
            case _:
                self._set_private(body[1:], offset)

    def _reset(self, offset: int) -> None:
        """RIS."""
        self.main_point, self.alternate_point, self.entered = SafePoint(offset, FRESH), None, None
        self._modes, self.knows_screen = FRESH, True
        self._private.clear()

    def _reset_softly(self) -> None:
        """DECSTR: not the screen, not the mouse, not the paste."""
        for mode in (1, 6, 7, 25, 66):
            self._private.pop(mode, None)
        self._change(ansi=(), keypad=False, scroll_region=b"", charsets={}, shifted=False, rendition=())

    def _switch_screen(self, alternate: int, offset: int) -> None:
        self.knows_screen = True
        if bool(alternate) == bool(self._modes.alternate):
            return
        self.alternate_point = SafePoint(offset, self.modes) if alternate else None
        self.entered = offset if alternate else None
        main, _ = self._modes.keyboard
        self._change(alternate=alternate, keyboard=(main, ()))

    def _set_ansi(self, numbers: tuple[int, ...], *, on: bool) -> None:
        kept = tuple(mode for mode in self._modes.ansi if mode not in numbers)
        self._change(ansi=tuple(sorted({*kept, *(n for n in numbers if n in {4, 20})})) if on else kept)

    def _set_keyboard(self, lead: bytes, numbers: tuple[int, ...]) -> None:
        screen = bool(self._modes.alternate)
        stack = self._modes.keyboard[screen]
        first = numbers[0] if numbers else 0
        match lead:
            case b">":
                stack = (*stack, first)[-_MOST_KEYBOARDS:]
            case b"<":
                stack = stack[: -max(1, first)]
            case _:
                stack = (*stack[:-1], _combined(stack[-1] if stack else 0, first, numbers[1:]))
        main, alternate = self._modes.keyboard
        self._change(keyboard=(main, stack) if screen else (stack, alternate))

    def _set_other_keys(self, numbers: bytes) -> None:
        resource, _, value = numbers.partition(b";")
        if resource in {b"", b"4"}:
            self._change(other_keys=value.strip(b"0"))

    def _designate(self, body: bytes) -> None:
        slot, charset = body[:1], body[1:]
        charsets = {known: value for known, value in self._modes.charsets.items() if known != slot}
        self._change(charsets=charsets if charset == b"B" else {**charsets, slot: charset})

    def _command(self, command: bytes) -> None:
        """An OSC."""
        number, _, value = command.partition(b";")
        if len(command) > _MOST_STRING_BYTES or not number.isdigit() or len(number) > 3:
            return
        match int(number):
            case 0 | 2:
                self._change(title=value)
            case (10 | 11 | 12) as colour if value and b"?" not in value:
                self._change(colours={**self._modes.colours, colour: value})
            case 4 if b"?" not in value:
                self._change(colours={**self._modes.colours, 4: b""})
            case (104 | 110 | 111 | 112) as reset:
                kept = {colour: value for colour, value in self._modes.colours.items() if colour != reset - 100}
                self._change(colours=kept)
            case _:
                pass

    def _render(self, data: bytes) -> None:
        """The colours that this leaves behind."""
        reset = max(data.rfind(b"\x1b[m"), data.rfind(b"\x1b[0m"))
        found = _RENDITION.findall(data, max(0, reset))
        if not found:
            return
        rendition = self._modes.rendition
        for parameters in found:
            first, _, rest = parameters.partition(b";")
            if not first.strip(b"0"):
                rendition = (parameters,) if rest else ()
            else:
                rendition = (*rendition, parameters)[-_MOST_RENDITIONS:]
        if rendition != self._modes.rendition:
            self._change(rendition=rendition)


def _is_cut(match: "re.Match[bytes]", size: int) -> bool:
    """The string has not ended yet."""
    return match.end() == size and match[match.lastgroup or 0] in {b"", b"\x1b"}


@functools.lru_cache(maxsize=256)
def _numbers(parameters: bytes) -> tuple[int, ...]:
    return tuple(int(field) for field in parameters.split(b";") if field.isdigit() and len(field) < 6)


def _combined(flags: int, given: int, how: tuple[int, ...]) -> int:
    """kitty's CSI = flags ; mode u: set all, set these, clear these."""
    match how:
        case (2,):
            return flags | given
        case (3,):
            return flags & ~given
        case _:
            return given


NOWHERE: Final = Snapshot(knows_screen=False)
