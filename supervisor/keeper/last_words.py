"""What a program that failed has left on stderr, as one line for a person. Pure."""

import re

_PLACE = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+)', re.MULTILINE)


def in_one_line(said: str) -> str:
    """Of a traceback its end: what, and where."""
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    places = _PLACE.findall(said)
    if not places or "Traceback" not in said:
        return lines[-1]
    path, number = places[-1]
    return f"{lines[-1]} ({path}:{number})"
