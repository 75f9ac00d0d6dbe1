"""How a session's program is connected: a terminal, pipes, or a program on another host."""

import enum
from typing import Annotated, Final

from msgspec import Struct

from config.kinds import TEXT, Choice, Command, OrFalse
from config.tables import Applied, Key, Table
from config.values import count, duration

LIVE: Final = Applied.LIVE
NEXT_START: Final = Applied.NEXT_START
RESTART: Final = Applied.RESTART


class IoKind(enum.StrEnum):
    PTY = "pty"
    PIPE = "pipe"
    SSH = "ssh"


class Resize(enum.StrEnum):
    """Who decides how large the terminal is."""

    FIXED = "fixed"
    WRITER = "writer"
    LATEST = "latest"
    SMALLEST = "smallest"


class Continuity(enum.StrEnum):
    EXACT = "exact"
    SPOOL = "spool"
    NONE = "none"


class TtySpec(Struct, frozen=True, kw_only=True):
    cols: Annotated[int, Key(count(1, 10_000), LIVE, "columns until somebody attaches")] = 120
    rows: Annotated[int, Key(count(1, 10_000), LIVE, "lines until somebody attaches")] = 40
    term: Annotated[str, Key(TEXT, RESTART, "TERM of the program")] = "xterm-256color"
    resize: Annotated[Resize, Key(Choice(Resize), LIVE, "whose window the terminal follows")] = Resize.WRITER


class PollSpec(Struct, frozen=True, kw_only=True):
    command: Annotated[tuple[str, ...], Key(Command(), LIVE, "run on the host beside the session")]
    interval_s: Annotated[float, Key(duration(0.1), LIVE, "skipped while the last one is unanswered")] = 5.0


_TTY: Final = Table(TtySpec)


class PtyIo(Struct, frozen=True, kw_only=True, tag=IoKind.PTY.value):
    tty: Annotated[TtySpec, Key(_TTY, RESTART, "the terminal")] = TtySpec()


class PipeIo(Struct, frozen=True, kw_only=True, tag=IoKind.PIPE.value):
    """stdin, stdout and stderr are pipes."""


class SshIo(Struct, frozen=True, kw_only=True, tag=IoKind.SSH.value):
    host: str  # in Fleet.hosts
    tty: Annotated[TtySpec | None, Key(OrFalse(_TTY), RESTART, "the terminal; false: none (io = ssh)")] = TtySpec()
    continuity: Annotated[
        Continuity, Key(Choice(Continuity), NEXT_START, "how the remote program outlives the connection (io = ssh)")
    ] = Continuity.EXACT
    poll: Annotated[
        PollSpec | None, Key(Table(PollSpec, "command"), LIVE, "a command asked again and again (io = ssh)")
    ] = None
