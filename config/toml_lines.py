"""On which line each key of a TOML text stands. tomllib reads the values and says nothing about places.

The text was accepted by tomllib before, so this scanner may trust it: it recognises just enough of the grammar to know
where a key, a value and an element begin. What decides the paths:

    [a.b]            header: later keys are below ("a", "b")
    [[a.b]]          array of tables: below ("a", "b", i); a header that passes through an array means its last element
    c.d = …          dotted key: defines ("c",) and ("c", "d") on this line, unless they were known before
    e = { f = 1 }    inline table: ("e", "f") on the line where f stands, which may be later than that of e
    g = [ 1, 2 ]     elements: ("g", 0), ("g", 1)

A table that was only implied by a header below it (`[a.b.c]` implies `a.b`) moves to its own header once that comes.
Values are walked with an explicit stack: a text nested as deep as tomllib can read must not exhaust ours.
"""

import re
import tomllib
from bisect import bisect_right

KeyPath = tuple[str | int, ...]

_NEWLINE = re.compile("\n")
_BLANK = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+ | "(?:[^"\\]|\\.)*" | '[^']*'""", re.VERBOSE)
_SCALAR = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5} | \'\'\'.*?\'{3,5} | "(?:[^"\\]|\\.)*" | '[^']*' | [^,\]}\#\n]*''',
    re.VERBOSE | re.DOTALL,
)


def line_map(text: str) -> dict[KeyPath, int]:
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text + "\n"
        self._pos = 0
        self._newlines = [match.start() for match in _NEWLINE.finditer(text)]
        self._found: dict[KeyPath, int] = {}
        self._array_lengths: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._skip(_BLANK) < len(self._text):
            if self._text[self._pos] == "[":
                table = self._header()
            else:
                self._value(self._key(table))
        return self._found

    def _skip(self, what: re.Pattern[str]) -> int:
        self._pos = self._match(what).end()
        return self._pos

    def _match(self, what: re.Pattern[str]) -> re.Match[str]:
        match = what.match(self._text, self._pos)
        if match is None:
            raise ValueError(f"not TOML at character {self._pos}")
        return match

    def _line(self) -> int:
        return bisect_right(self._newlines, self._pos - 1) + 1

    def _header(self) -> KeyPath:
        line = self._line()
        is_array = self._text.startswith("[[", self._pos)
        self._pos += 2 if is_array else 1
        *parents, last = self._dotted()
        self._pos += 2 if is_array else 1
        path: KeyPath = ()
        for part in parents:
            path = self._inside((*path, part), line)
        path = (*path, last)
        if is_array:
            self._found.setdefault(path, line)
            self._array_lengths[path] = self._array_lengths.get(path, 0) + 1
            path = (*path, self._array_lengths[path] - 1)
        self._found[path] = line
        return path

    def _inside(self, path: KeyPath, line: int) -> KeyPath:
        """`path`, or its last element where it names an array of tables."""
        self._found.setdefault(path, line)
        length = self._array_lengths.get(path, 0)
        return (*path, length - 1) if length else path

    def _key(self, table: KeyPath) -> KeyPath:
        """Reads `a.b.c =`; returns the path of its value."""
        line = self._line()
        path = table
        for part in self._dotted():
            path = (*path, part)
            self._found.setdefault(path, line)
        self._pos += 1  # the "="
        return path

    def _dotted(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            match = self._match(_KEY)
            parts.append(_unquoted(match.group()))
            self._pos = match.end()
            self._skip(_SPACE)
            if self._text[self._pos] != ".":
                return parts
            self._pos += 1

    def _value(self, path: KeyPath) -> None:
        """Walks one value, through all that is nested in it. A count of -1 marks an inline table."""
        stack: list[tuple[KeyPath, int]] = []
        while True:
            self._skip(_SPACE)
            match self._text[self._pos]:
                case "[":
                    stack.append((path, 0))
                    self._pos += 1
                case "{":
                    stack.append((path, -1))
                    self._pos += 1
                case _:
                    self._skip(_SCALAR)
            while stack:
                self._skip(_BLANK)
                if self._text[self._pos] not in "]}":
                    break
                self._pos += 1
                stack.pop()
            if not stack:
                return
            container, count = stack[-1]
            if count < 0:
                path = self._key(container)
            else:
                path = (*container, count)
                self._found[path] = self._line()
                stack[-1] = (container, count + 1)


def _unquoted(key: str) -> str:
    if key[0] == '"':
        return str(tomllib.loads(f"key = {key}")["key"])
    return key.strip("'")
