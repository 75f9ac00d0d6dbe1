"""Files of NAME=value lines, the subset on which shells, systemd and docker agree.

    # comment            export NAME=value     NAME = value
    A=plain text         to the end of the line, less blanks; ` #` begins a comment
    B='as it stands'     nothing is special
    C="with \\n \\t \\" \\\\ \\$"

No variables are replaced and a value ends with its line: where those who read such files disagree, guessing is worse
than an error.
"""

import re
from typing import Final

from msgspec import Struct

_LINE: Final = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_SINGLE: Final = re.compile(r"'([^']*)'\s*(?:#.*)?")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_ESCAPE: Final = re.compile(r"\\(.)")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r"}


class DotenvError(Struct, frozen=True):
    line: int
    message: str


class Dotenv(Struct, frozen=True):
    values: dict[str, str]
    errors: tuple[DotenvError, ...]


def parse_dotenv(text: str) -> Dotenv:
    values: dict[str, str] = {}
    errors = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            name, value = _assignment(stripped)
        except ValueError as wrong:
            errors.append(DotenvError(number, str(wrong)))
        else:
            values[name] = value
    return Dotenv(values, tuple(errors))


def _assignment(line: str) -> tuple[str, str]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError("is not NAME=value")
    if "\0" in line:
        raise ValueError("holds a NUL character, which no environment can")
    return found["name"], _value(found["value"])


def _value(raw: str) -> str:
    match raw[:1]:
        case "'":
            return _quoted(_SINGLE, raw)
        case '"':
            return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), _quoted(_DOUBLE, raw))
    return _COMMENT.sub("", raw).rstrip()


def _quoted(pattern: re.Pattern[str], raw: str) -> str:
    found = pattern.fullmatch(raw)
    if found is None:
        raise ValueError("has a quote that does not end its value on this line")
    return found[1]
