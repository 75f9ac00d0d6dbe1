"""The modes of a terminal as a value, and the bytes that bring a terminal there and back. Pure.

A terminal keeps far more than its screen: who attaches to a program that switched on bracketed paste or the mouse an
hour ago needs the modes as much as the text, and who detaches must not keep them. A mode that stands here differs from
a terminal just switched on; modes keep the order in which they were set, because of the mouse modes the last one wins.

What the screens have of their own is the stack of kitty keyboard flags; all else is shared by both, as in xterm.
"""

from typing import Final

import msgspec

DEFAULT_ON = frozenset({7, 25})  # autowrap, cursor visible
SYNCHRONIZED = 2026  # a terminal left in it shows nothing
ALTERNATE = frozenset({47, 1047, 1049})
PASTE = 2004
CURSOR_KEYS = 1
_PALETTE = 4


class Modes(msgspec.Struct, frozen=True):
    alternate: int = 0  # the private mode that switched to the alternate screen; 0: it is the main one
    private: dict[int, bool] = {}
    ansi: tuple[int, ...] = ()  # insert, new line
    keypad: bool = False
    scroll_region: bytes = b""
    charsets: dict[bytes, bytes] = {}  # slot, as its designating byte: set
    shifted: bool = False
    rendition: tuple[bytes, ...] = ()  # SGR parameters since the last reset
    cursor_style: bytes = b""
    keyboard: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())  # kitty flags: of the main screen, of the alternate
    other_keys: bytes = b""  # xterm's modifyOtherKeys
    title: bytes = b""
    colours: dict[int, bytes] = {}  # OSC 10 to 12; 4 stands for any change of the palette

    def is_on(self, mode: int) -> bool:
        return self.private.get(mode, mode in DEFAULT_ON)


FRESH: Final = Modes()


def restore_sequence(modes: Modes) -> bytes:
    """Brings a fresh terminal there, cursor at home."""
    main, alternate = modes.keyboard
    parts = [b"\x1b]2;%b\x1b\\" % modes.title] if modes.title else []
    parts += [b"\x1b[>%du" % flags for flags in main]
    if modes.alternate:
        parts.append(b"\x1b[?%dh\x1b[2J" % modes.alternate)
        parts += [b"\x1b[>%du" % flags for flags in alternate]
    parts += [b"\x1b%b%b" % (slot, charset) for slot, charset in modes.charsets.items()]
    parts += [b"\x1b]%d;%b\x1b\\" % colour for colour in modes.colours.items() if colour[0] != _PALETTE]
    parts += [b"\x1b[%bm" % parameters for parameters in modes.rendition]
    parts += [b"\x1b[%dh" % mode for mode in modes.ansi]
    parts.append(b"\x1b[%br" % modes.scroll_region if modes.scroll_region else b"")
    parts += [_private(mode, on) for mode, on in modes.private.items() if mode != SYNCHRONIZED]
    parts.append(b"\x1b=" if modes.keypad else b"")
    parts.append(b"\x1b[%b q" % modes.cursor_style if modes.cursor_style else b"")
    parts.append(b"\x1b[>4;%bm" % modes.other_keys if modes.other_keys else b"")
    parts.append(b"\x0e" if modes.shifted else b"")
    return b"".join([*parts, b"\x1b[H"])


def reset_sequence(modes: Modes) -> bytes:
    """Brings a terminal back from there, whatever it is in the middle of; the cursor stays where it is."""
    main, alternate = modes.keyboard
    parts = [b"\x1b\\"]  # ends a string that was cut, and does nothing else
    parts += [_private(mode, mode in DEFAULT_ON) for mode in modes.private]
    if modes.alternate:
        parts.append(b"\x1b[<%du" % len(alternate) if alternate else b"")
        parts.append(_private(modes.alternate, on=False))
    parts.append(b"\x1b[<%du" % len(main) if main else b"")
    parts += [b"\x1b%bB" % slot for slot in modes.charsets]
    parts += [b"\x1b]%d\x1b\\" % (100 + number) for number in modes.colours]
    parts += [b"\x1b[%dl" % mode for mode in modes.ansi]
    parts.append(b"\x1b7\x1b[r\x1b8" if modes.scroll_region else b"")
    parts.append(b"\x1b>" if modes.keypad else b"")
    parts.append(b"\x1b[0 q" if modes.cursor_style else b"")
    parts.append(b"\x1b[>4m" if modes.other_keys else b"")
    parts.append(b"\x0f" if modes.shifted else b"")
    return b"".join([*parts, b"\x1b[m"])


def _private(mode: int, on: bool) -> bytes:  # noqa: FBT001 - the mode's value
    return b"\x1b[?%d%b" % (mode, b"h" if on else b"l")
