"""Proves a log from its bytes: every block is read again and its digest computed anew; no counter is trusted.

What it finds: a flipped byte, a missing or doubled one, swapped blocks (the digest of a block), bytes cut off or put
behind the end (its size), a part that was taken out of the middle (positions must continue from part to part),
damaged, removed or swapped records of an index. What nobody can tell from a log alone is bytes behind the last
record, up to 64 KiB or one second's worth while a router writes: `unchecked_bytes` counts them, and comparing
`read_stream` with the ring proves them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import zstandard
from xxhash import xxh3_64

from ipc.log_history import Block, Gap, History
from ipc.log_index import Position
from ipc.log_reader import Index, LogSnapshot, Part, read_block, size_of

_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Epoch:
    """What the log has of one run of the session: `count` bytes between `first` and `end`."""

    epoch: int
    first: int
    end: int
    count: int


@dataclass(frozen=True, slots=True)
class Problem:
    part: str
    what: str


@dataclass(slots=True)
class LogReport:
    parts: list[str] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    position: Position | None = None
    count: int = 0  # bytes of the stream in the log
    unchecked_bytes: int = 0
    foreign_bytes: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems

    def add_block(self, block: Block) -> None:
        self.count += block.length
        if block.digest is None:
            self.unchecked_bytes += block.length
        epoch, offset = block.position
        if self.epochs and self.epochs[-1].epoch == epoch:
            before = self.epochs.pop()
            self.epochs.append(Epoch(epoch, before.first, block.end, before.count + block.length))
        else:
            self.epochs.append(Epoch(epoch, offset, block.end, block.length))


def verify_log(directory: str | Path, log: str) -> LogReport:
    for _ in range(_ATTEMPTS):
        with LogSnapshot(directory, log) as snapshot:
            report = _verify(snapshot.parts)
            if report.ok or not snapshot.is_past():
                return report  # a problem counts if nobody moved the files meanwhile
    return report


def _verify(parts: Sequence[Part]) -> LogReport:
    report = LogReport()
    before: Part | None = None
    for part in parts:
        report.parts.append(part.name)
        report.problems.extend(Problem(part.name, what) for what in _verify_part(part, before, report))
        before = part
    return report


def _verify_part(part: Part, before: Part | None, report: LogReport) -> Iterator[str]:
    file = part.open()
    if file is None:
        yield "the log is missing, its index is there"
    if part.index is None or part.index.header is None:
        yield "has no index" if part.index is None else "the index has no valid header"
        if file is not None:
            with file:
                report.foreign_bytes += size_of(file)
        return
    history = part.history()
    yield from _verify_index(part, part.index, history)
    yield from _verify_continuity(part, before, history, report.position)
    if file is not None:
        with file:
            yield from _verify_bytes(part, file, history)
        for block in history.blocks:
            report.add_block(block)
        report.foreign_bytes += history.foreign_bytes
    report.gaps.extend(history.gaps)
    report.position = history.position


def _verify_index(part: Part, index: Index, history: History) -> Iterator[str]:
    if index.header is not None and part.number != index.header.part:
        yield f"the index is that of part {index.header.part}"
    if index.damaged:
        yield f"{len(index.damaged)} records of the index are damaged, the first is number {index.damaged[0]}"
    if index.torn_bytes:
        yield f"the index ends in a torn record of {index.torn_bytes} bytes"
    if not index.records:
        yield "the index has no records"
    if not part.current and not history.closed:
        yield "was rotated without being closed"
    yield from history.problems


def _verify_continuity(part: Part, before: Part | None, history: History, reached: Position | None) -> Iterator[str]:
    if before is None or reached is None:
        return
    if before.number is not None and part.number is not None and part.number != before.number + 1:
        yield f"follows part {before.number}: {part.number - before.number - 1} parts between them are missing"
    if history.start != reached:
        yield (
            f"begins at epoch {history.start.epoch}, offset {history.start.offset}; "
            f"the part before it ends at epoch {reached.epoch}, offset {reached.offset}"
        )


def _verify_bytes(part: Part, file: IO[bytes], history: History) -> Iterator[str]:
    wrong = [block for block in history.blocks if not _holds(file, block)]
    if wrong:
        first = wrong[0]
        yield (
            f"{len(wrong)} blocks are not what was written, the first at byte {first.file_offset} to {first.file_end} "
            f"(epoch {first.position.epoch}, offset {first.position.offset})"
        )
    try:
        size = size_of(file)
    except zstandard.ZstdError as error:
        yield f"the archive is damaged: {error}"
        return
    if size < history.file_end:
        yield f"{history.file_end - size} bytes are missing at the end"
    elif size > history.file_end and history.closed:
        yield f"{size - history.file_end} bytes follow the end of the part"
    elif part.current:
        history.add_tail(size)


def _holds(file: IO[bytes], block: Block) -> bool:
    digest, length = xxh3_64(), 0
    try:
        for piece in read_block(file, block):
            digest.update(piece)
            length += len(piece)
    except zstandard.ZstdError:
        return False
    return length == block.length and block.digest in (None, digest.intdigest())
