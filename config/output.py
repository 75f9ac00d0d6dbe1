"""Where a session's output goes: its ring, and its log."""

import enum
from typing import Annotated, Final

from msgspec import Struct

from config.kinds import TEXT, Choice
from config.tables import Applied, Key
from config.values import FLAG, amount, count, duration

LIVE: Final = Applied.LIVE
NEXT_START: Final = Applied.NEXT_START


class RingFull(enum.StrEnum):
    BLOCK = "block"
    DROP_OLDEST = "drop-oldest"
    DROP_NEWEST = "drop-newest"


class Compression(enum.StrEnum):
    ZSTD = "zstd"
    NONE = "none"


class LogFormat(enum.StrEnum):
    CONSOLE = "console"
    JSON = "json"


class RingSpec(Struct, frozen=True, kw_only=True):
    """Sizes are powers of two: what is written is rounded up, and `check` says so."""

    size_bytes: Annotated[int, Key(amount(4096), NEXT_START, "to begin with; it grows as readers lag")] = 64 * 1024
    max_size_bytes: Annotated[int, Key(amount(4096), LIVE, "it never grows beyond")] = 8 * 1024 * 1024
    policy: Annotated[
        RingFull, Key(Choice(RingFull), LIVE, "what a full ring does: holds the program back, or drops")
    ] = RingFull.BLOCK


class LogSpec(Struct, frozen=True, kw_only=True):
    path: Annotated[str, Key(TEXT, LIVE, "relative to log_dir, NAME.log unless said; every session needs its own")] = ""
    max_size_bytes: Annotated[int, Key(amount(4096), LIVE, "then a new part begins")] = 50 * 1024 * 1024
    keep: Annotated[int, Key(count(0, 10_000), LIVE, "older parts that are kept")] = 5
    compress: Annotated[Compression, Key(Choice(Compression), LIVE, "of older parts")] = Compression.ZSTD
    required: Annotated[bool, Key(FLAG, LIVE, "a slow log holds a block ring's program back")] = True
    stall_max_s: Annotated[float, Key(duration(), LIVE, "a log that fails holds it back this long at most")] = 30.0

    @property
    def error_path(self) -> str:
        """Of a pipe session's stderr."""
        return self.path.removesuffix(".log") + ".err.log"
