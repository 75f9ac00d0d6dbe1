"""Finds the detach key among what is typed. Pure.

A key of several strokes holds the first ones back until it is clear whether it is one. What is pasted is never a key:
in a bracketed paste nothing is looked for.
"""

import re

from supervisor.cli.keys import key_pattern, parse_key

DEFAULT = "C-\\"
_PASTE_BEGINS, _PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"


class DetachKey:
    """`strokes`: names of keys with blanks between them, or `none`."""

    def __init__(self, strokes: str = DEFAULT) -> None:
        """Raises ValueError."""
        names = [] if strokes == "none" else strokes.split()
        self._patterns = [re.compile(key_pattern(parse_key(name))) for name in names]
        self._first = (
            re.compile(b"(?P<paste>%b)|%b" % (re.escape(_PASTE_BEGINS), self._patterns[0].pattern)) if names else None
        )
        self._held: list[bytes] = []
        self._in_paste = False
        self._tail = b""
        self.name = " ".join(names)

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """What the program gets, and whether the rest was the detach key."""
        out = b""
        while typed and self._first is not None:
            if self._in_paste:
                passed, typed = self._paste(typed)
                out += passed
            elif self._held:
                stroke = self._patterns[len(self._held)].match(typed)
                if stroke is None:
                    out += b"".join(self._held)
                    self._held.clear()
                    continue
                typed = self._hold(stroke[0], typed[stroke.end() :])
            elif (found := self._first.search(typed)) is None:
                break
            elif found["paste"]:
                out += typed[: found.end()]
                typed = typed[found.end() :]
                self._in_paste = True
            else:
                out += typed[: found.start()]
                typed = self._hold(found[0], typed[found.end() :])
            if len(self._held) == len(self._patterns):
                return out, True
        return out + typed, False

    def _hold(self, stroke: bytes, rest: bytes) -> bytes:
        self._held.append(stroke)
        return rest

    def _paste(self, typed: bytes) -> tuple[bytes, bytes]:
        """The mark of its end may come in two pieces."""
        seen = self._tail + typed
        end = seen.find(_PASTE_ENDS)
        if end < 0:
            self._tail = seen[-len(_PASTE_ENDS) + 1 :]
            return typed, b""
        length = end + len(_PASTE_ENDS) - len(self._tail)
        self._in_paste, self._tail = False, b""
        return typed[:length], typed[length:]
