"""The producers: what a program writes, how it is started, and what must have arrived of it.

Every unit that `produce.c` writes carries its number, so that the digest of what arrived tells a lost or doubled
piece from a right one even where the size is right. Digests are computed here from the description alone, not from
any capture."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

BLOCK_BYTES = 65536
LINE_BYTES = 80
STAMPED_BYTES = 1024
BATCH = 4096


class Shape(StrEnum):
    BLOCKS = "blocks"
    LINES = "lines"
    STAMPS = "stamps"


@dataclass(frozen=True, slots=True)
class Production:
    """COUNT units of one shape; `terminal` says whether they pass a terminal's output processing."""

    shape: Shape
    count: int
    terminal: bool
    per_second: int = 0

    def argv(self, program: Path, gate: Path, stamp: Path) -> tuple[str, ...]:
        rate = (str(self.per_second),) if self.per_second else ()
        return (str(program), self.shape.value, str(self.count), str(gate), str(stamp), *rate)

    @property
    def expected_bytes(self) -> int:
        match self.shape:
            case Shape.BLOCKS:
                return self.count * BLOCK_BYTES
            case Shape.LINES:
                return self.count * (LINE_BYTES + self.terminal)
            case Shape.STAMPS:
                return self.count * STAMPED_BYTES


def sized(shape: Shape, size_bytes: int, *, terminal: bool) -> Production:
    unit_bytes = BLOCK_BYTES if shape is Shape.BLOCKS else LINE_BYTES
    return Production(shape, max(1, size_bytes // unit_bytes), terminal)


@lru_cache(maxsize=8)
def expected_digest(production: Production) -> str:
    """SHA-256 of everything that a capture of this production must hold (blocks and lines only)."""
    digest = hashlib.sha256()
    for piece in _pieces(production):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(production: Production) -> Iterator[bytes]:
    if production.shape is Shape.BLOCKS:
        rest = b"x" * (BLOCK_BYTES - 10)
        for number in range(production.count):
            yield b"%010d" % number + rest
        return
    rest = b"x" * (LINE_BYTES - 11) + (b"\r\n" if production.terminal else b"\n")
    for first in range(0, production.count, BATCH):
        numbers = range(first, min(first + BATCH, production.count))
        yield b"".join(b"%010d%s" % (number, rest) for number in numbers)


def file_digest(path: Path, skip_bytes: int, size_bytes: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(skip_bytes)
        while size_bytes > 0 and (piece := file.read(min(1 << 20, size_bytes))):
            digest.update(piece)
            size_bytes -= len(piece)
    return digest.hexdigest()
