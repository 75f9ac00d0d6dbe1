"""tomllib's complaints as problems with a line: it says where only inside its message."""

import re
from typing import Final

from config.errors import Problem

_AT_LINE: Final = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")
_AT_END: Final = re.compile(r"\s*\(at end of document\)$")


def syntax_problem(name: str, text: str, wrong: Exception) -> Problem:
    """`wrong` is what tomllib raised. Some errors (numbers beyond any size, arrays nested without end) say no place."""
    message = "is nested too deep" if isinstance(wrong, RecursionError) else str(wrong)
    found = _AT_LINE.search(message)
    if found is not None:
        return Problem(
            name, int(found[1]), "", f"is not TOML: {_lowered(message[: found.start()])} at column {found[2]}"
        )
    if _AT_END.search(message):
        line = text.rstrip().count("\n") + 1
        return Problem(name, line, "", f"is not TOML: {_lowered(_AT_END.sub('', message))}, where the file ends")
    return Problem(name, 1, "", f"is not TOML: {_lowered(message)}")


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]
