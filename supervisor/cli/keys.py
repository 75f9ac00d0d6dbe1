"""Keys by name, and the bytes that a terminal sends for them. Pure.

Names are tmux's: `C-c`, `M-x`, `S-Up`, `F5`, `Enter`, a character by itself. Terminals send the same key in several
ways: cursor keys depend on a mode that the program sets, and the keyboard protocols of xterm and kitty send a Ctrl key
as a sequence of its own: a detach key that knew only the old way would not work in a program that asked for the new.
"""

import difflib
import re
from typing import NamedTuple

_CURSOR = {"Up": b"A", "Down": b"B", "Right": b"C", "Left": b"D", "Home": b"H", "End": b"F"}
_SS3 = {"F1": b"P", "F2": b"Q", "F3": b"R", "F4": b"S"}
_TILDE = {
    "Insert": 2, "Delete": 3, "PageUp": 5, "PageDown": 6,
    "F5": 15, "F6": 17, "F7": 18, "F8": 19, "F9": 20, "F10": 21, "F11": 23, "F12": 24,
}  # fmt: skip
_CHARACTERS = {"Enter": "\r", "Tab": "\t", "Escape": "\x1b", "Space": " ", "BSpace": "\x7f"}
_ALIASES = {
    "Return": "Enter", "Esc": "Escape", "Backspace": "BSpace", "PgUp": "PageUp", "PPage": "PageUp",
    "PgDn": "PageDown", "NPage": "PageDown", "Ins": "Insert", "IC": "Insert", "Del": "Delete", "DC": "Delete",
}  # fmt: skip
_NAMES = {name.lower(): name for name in (*_CURSOR, *_SS3, *_TILDE, *_CHARACTERS)}
_NAMES |= {alias.lower(): name for alias, name in _ALIASES.items()}
_CONTROLS = {" ": 0, "@": 0, "2": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "6": 30, "_": 31, "-": 31, "/": 31, "?": 127}
_SHIFT, _ALT, _CTRL = 1, 2, 4
_LOCKS = 64 | 128  # kitty counts Caps Lock and Num Lock as modifiers


class Key(NamedTuple):
    name: str  # of a key that has one, else the character
    modifiers: int = 0


def parse_key(text: str) -> Key:
    """Raises ValueError, whose message says what to write instead."""
    rest, modifiers = text, 0
    while found := re.match(r"([CMAS])-(?=.)|\^(?=.)", rest):
        modifiers |= {"C": _CTRL, "M": _ALT, "A": _ALT, "S": _SHIFT, None: _CTRL}[found[1]]
        rest = rest[found.end() :]
    if rest.lower() == "btab":
        rest, modifiers = "Tab", modifiers | _SHIFT
    if len(rest) == 1:
        key = Key("Space" if rest == " " else rest, modifiers)
    elif rest.lower() in _NAMES:
        key = Key(_NAMES[rest.lower()], modifiers)
    else:
        near = difflib.get_close_matches(rest.lower(), _NAMES, 1)
        hint = f"did you mean {_NAMES[near[0]]}?" if near else "keys are C-c, M-x, Enter, Up, F5, a character, …"
        raise ValueError(f"no key is called {text!r}: {hint}")
    key_bytes(key)
    return key


def key_bytes(key: Key, *, application_cursor: bool = False) -> bytes:
    """What a terminal sends for it."""
    name, modifiers = key
    if name in _CURSOR or name in _SS3:
        final = _CURSOR.get(name) or _SS3[name]
        if modifiers:
            return b"\x1b[1;%d%b" % (modifiers + 1, final)
        return (b"\x1bO" if name in _SS3 or application_cursor else b"\x1b[") + final
    if name in _TILDE:
        return b"\x1b[%d;%d~" % (_TILDE[name], modifiers + 1) if modifiers else b"\x1b[%d~" % _TILDE[name]
    return _character(key)


def _character(key: Key) -> bytes:
    name, modifiers = key
    character = _CHARACTERS.get(name, name)
    prefix = b"\x1b" if modifiers & _ALT else b""
    match name, modifiers & ~_ALT:
        case _, 0:
            return prefix + character.encode()
        case "Tab", 1:
            return prefix + b"\x1b[Z"
        case _, 1 if len(name) == 1:
            return prefix + character.upper().encode()
        case _, 4 if (code := _control_code(character)) is not None:
            return prefix + bytes([code])
        case _ if name in _CHARACTERS:  # only the newer protocols have a way to say this
            return b"\x1b[%d;%du" % (ord(character), modifiers + 1)
        case _:
            raise ValueError(f"no terminal sends C-{character}: use a letter, or one of @ [ \\ ] ^ _ ?")


def _control_code(character: str) -> int | None:
    if "a" <= character.lower() <= "z":
        return ord(character.lower()) - 96
    return _CONTROLS.get(character)


def key_pattern(key: Key) -> bytes:
    """A regular expression for all ways in which terminals send it."""
    ways = [re.escape(key_bytes(key))]
    character = _CHARACTERS.get(key.name, key.name)
    if len(character) == 1 and key.modifiers:
        numbers = {key.modifiers + 1 + locks for locks in (0, 64, 128, _LOCKS)}
        modifiers = b"(?:%b)" % b"|".join(b"%d" % number for number in sorted(numbers))
        ways.append(rb"\x1b\[%d(?::\d*)*;%b(?::1)?u" % (ord(character.lower()), modifiers))
        ways.append(rb"\x1b\[27;%b;%d~" % (modifiers, ord(character.lower())))
    return b"(?:%b)" % b"|".join(ways)
