"""How `logs` writes a line: with its session's name and time where that is wanted. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from supervisor.cli.ink import OF_SESSIONS, Ink
from supervisor.cli.log_lines import Line
from supervisor.cli.moments import iso
from supervisor.cli.terminal_text import harmless


class LineLayout(NamedTuple):
    """On a terminal text is made harmless; elsewhere it is written byte for byte."""

    names: Sequence[str]  # none: lines have no names
    ink: Ink
    timestamps: bool
    for_terminal: bool

    def render(self, line: Line) -> bytes:
        head = self._head(line).encode()
        if not self.for_terminal:
            return head + line.text + (b"\n" if head and not line.text.endswith(b"\n") else b"")
        return head + harmless(line.bare, colours=self.ink.on).encode() + b"\n"

    def _head(self, line: Line) -> str:
        time = f"{_local(line.time_ns)} " if self.timestamps else ""
        if not self.names:
            return time
        colour = OF_SESSIONS[self.names.index(line.session) % len(OF_SESSIONS)]
        width = max(map(len, self.names))
        return time + self.ink(f"{line.session:<{width}} | ", colour)


def as_json(line: Line) -> dict[str, Any]:
    """While a log is followed, nobody has said yet which place of the stream its new bytes have."""
    return {
        "session": line.session,
        "stream": line.stream,
        "epoch": line.epoch or None,
        "offset": line.offset if line.epoch else None,
        "time": iso(line.time_ns),
        "line": line.bare.decode(errors="replace"),
    }


def _local(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns // 1_000_000_000).astimezone():%Y-%m-%d %H:%M:%S}"
