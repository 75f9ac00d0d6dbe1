"""What a program is started with: numbers and bytes only, nothing left to look up.

Names of users, groups and variables are resolved by the supervisor. Arguments and environment are bytes,
because that is what the kernel passes on: a variable that is not UTF-8 reaches the program as it came.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

Bytes1 = Annotated[bytes, Meta(min_length=1)]
CgroupFiles = Annotated[tuple[str, ...], Meta(max_length=16)]
Id = Annotated[int, Meta(ge=0, lt=2**32 - 1)]
TerminalSize = Annotated[int, Meta(ge=1, le=65535)]


class Io(StrEnum):
    PTY = "pty"
    PIPE = "pipe"


class ProgramSpec(Struct, frozen=True, forbid_unknown_fields=True):
    argv: Annotated[tuple[bytes, ...], Meta(min_length=1)]
    env: dict[bytes, bytes]  # all of it; its PATH is where argv[0] is looked for
    io: Io = Io.PTY
    cols: TerminalSize = 80
    rows: TerminalSize = 24
    pipe_bytes: Annotated[int, Meta(ge=4096, le=2**30)] = 1 << 20  # a wish: what is allowed counts

    # None: as the keeper has it
    cwd: Bytes1 | None = None
    uid: Id | None = None
    gid: Id | None = None
    groups: tuple[Id, ...] | None = None
    umask: Annotated[int, Meta(ge=0, le=0o777)] | None = None
    nice: Annotated[int, Meta(ge=-20, le=19)] | None = None
    oom_score_adj: Annotated[int, Meta(ge=-1000, le=1000)] | None = None

    rlimits: dict[int, tuple[int, int]] = {}  # resource number: (soft, hard), -1 for no limit
    cgroup_procs: CgroupFiles = ()  # `cgroup.procs` or `tasks` files to enter before exec


class Phase(StrEnum):
    """Where a start failed."""

    OPEN = "open"  # terminal, pipes, start socket, pidfd
    FORK = "fork"
    SESSION = "session"  # signals, setsid, controlling terminal
    DESCRIPTORS = "descriptors"
    CGROUP = "cgroup"
    PRIORITY = "priority"  # nice, oom_score_adj
    LIMITS = "limits"
    CREDENTIALS = "credentials"  # umask, groups, gid, uid; the terminal's owner
    DIRECTORY = "directory"
    EXEC = "exec"
    DIED = "died"  # killed before it ran


class StartError(Struct, frozen=True):
    """What the child sends in place of its readiness, or after it when exec fails."""

    errno: int
    phase: Phase
    path: bytes
    message: str
