"""What brings a terminal to where a session's output stands, from the last part of that output. Pure.

Nothing here draws. The terminal is given the modes of a safe point (see ipc/mode_tracker.py) and then the program's own
bytes from there on; where there is no safe point near, the last screenfuls of text, from the beginning of a line. Under
an alternate screen the main one is brought back first, so that it is there when the program leaves.

Left out of the replay is what is not about the screen: questions to the terminal, the bell, the clipboard,
notifications, and clearing the scrollback, which is the viewer's own.
"""

import re
from typing import NamedTuple

from ipc.mode_tracker import ModeTracker, SafePoint, Snapshot
from ipc.terminal_modes import Modes, reset_sequence, restore_sequence

FAR_BYTES = 1 << 20  # a safe point further back would keep the terminal busy for too long
NEAR_BYTES = 1 << 16  # several screenfuls
_LINE_BYTES = 1 << 12

_NOT_SHOWN = re.compile(
    rb"""\x1b(?:
        \[[>=]?[0-9;]*c | \[\??[0-9;]*n | \[\??[0-9;]*\$p | \[>[0-9]*q | \[\?u   # who, how, which mode, version
      | \[(?:1[1346-9]|2[01])(?:;[0-9]*)?t | \[2[23](?:;[0-9]*)?t                # window reports, stack of titles
      | \[3J
      | \](?:52|9|99|777);[^\x07\x1b]*(?:\x07|\x1b\\)                            # clipboard, notifications
      | \][0-9;]*;\?(?:\x07|\x1b\\)                                              # which colour
      | P[+$]q[^\x1b]*\x1b\\                                                     # which capability, which setting
      )
      | (?P<kept>\x1b[\]P_X^][^\x07\x1b]*(?:\x07|\x1b\\))                        # its BEL is no bell
      | \x07
    """,
    re.VERBOSE,
)


class Past(NamedTuple):
    """The last part of the output, in one piece up to where it stands; `before`: what is known of where it begins."""

    before: Snapshot
    data: bytes


class Picture(NamedTuple):
    shown: bytes  # to a fresh terminal
    rest: bytes  # an unfinished sequence, of which the live output brings the end
    tracker: ModeTracker
    in_doubt: bool  # only the program itself can draw all of its screen


def picture_of(past: Past) -> Picture:
    tracker = ModeTracker(past.before)
    tracker.feed(past.data)
    end = max(past.before.offset, tracker.boundary)
    spans = _spans(past, tracker, end)
    shown = _connected([_shown(past, start, modes, to) for start, modes, to in spans])
    in_doubt = bool(tracker.modes.alternate) or not tracker.knows_screen
    return Picture(shown, past.data[end - past.before.offset :], tracker, in_doubt)


def _spans(past: Past, tracker: ModeTracker, end: int) -> list[tuple[int, Modes, int]]:
    """(from, modes there, to): of the main screen, and of the alternate one where that is on."""
    entered = tracker.entered
    if not tracker.modes.alternate:
        return [(*_start(past, tracker.main_point, end), end)]
    alternate = (*_start(past, tracker.alternate_point, end), end)
    if entered is None:
        return [alternate]
    main = _start(past, tracker.main_point, entered)
    return [(*main, end)] if alternate[0] == entered else [(*main, entered), alternate]


def _start(past: Past, point: SafePoint | None, to: int) -> tuple[int, Modes]:
    """Where to begin in order to show what stood there at `to`."""
    begin = past.before.offset
    if point is not None and begin <= point.offset and to - point.offset <= FAR_BYTES:
        return point.offset, point.modes
    if not begin and to <= NEAR_BYTES:
        return 0, past.before.modes
    near = max(0, to - NEAR_BYTES - begin)
    near = past.data.find(b"\n", near, min(near + _LINE_BYTES, to - begin)) + 1 or near
    tracker = ModeTracker(past.before)
    tracker.feed(past.data[:near])
    return max(begin, tracker.boundary), tracker.modes


def _shown(past: Past, start: int, modes: Modes, to: int) -> bytes:
    begin = past.before.offset
    return restore_sequence(modes) + without_effects(past.data[start - begin : to - begin])


def _connected(pieces: list[bytes]) -> bytes:
    """Each begins on a fresh terminal."""
    shown = b""
    for piece in pieces:
        tracker = ModeTracker()
        tracker.feed(shown)
        shown += (reset_sequence(tracker.modes) if shown else b"") + piece
    return shown


def without_effects(output: bytes) -> bytes:
    return _NOT_SHOWN.sub(lambda found: found["kept"] or b"", output)
