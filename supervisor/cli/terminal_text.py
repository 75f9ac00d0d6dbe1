"""Other people's output, made harmless for a terminal: colours stay, what moves, clears, asks or renames goes. Pure."""

import re

_CONTROL = re.compile(
    rb"(?P<colour>\x1b\[[0-9;:]*m)"
    rb"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences
    rb"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles, clipboards, strings for the terminal
    rb"|\x1b[ -/]*[0-~]"  # short ones
    rb"|[\x00-\x08\x0a-\x1f\x7f]|\x1b"
)
_RESET = "\x1b[0m"


def harmless(text: bytes, *, colours: bool) -> str:
    found = False

    def keep(match: re.Match[bytes]) -> bytes:
        nonlocal found
        found = found or bool(match["colour"])
        return (match["colour"] or b"") if colours else b""

    kept = _CONTROL.sub(keep, text).decode(errors="replace")
    return kept + _RESET if colours and found else kept
