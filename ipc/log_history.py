"""What an index says about its file: blocks of the stream, gaps, and contradictions. Pure.

The records are told in order, as they were written. An Anchor that cuts (TRUNCATED, REPLACED, CLEARED) takes back
what was said about the bytes behind it, and turns them into a gap; so the blocks that are left are in file order and
do not overlap.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from ipc.log_index import NOWHERE, Anchor, Cause, Check, Close, Position, Record


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of one stream that lie together in a file. Without a digest nobody vouches for them."""

    file_offset: int
    position: Position
    length: int
    digest: int | None

    @property
    def file_end(self) -> int:
        return self.file_offset + self.length

    @property
    def end(self) -> int:
        return self.position.offset + self.length

    def cut(self, file_end: int) -> "Block":
        return Block(self.file_offset, self.position, file_end - self.file_offset, None)


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of an epoch that are not in the log: from `start` up to `end`."""

    epoch: int
    start: int
    end: int
    why: Cause


@dataclass(slots=True)
class History:
    blocks: list[Block] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    start: Position = NOWHERE
    position: Position = NOWHERE
    file_end: int = 0
    closed: bool = False

    @property
    def foreign_bytes(self) -> int:
        """Bytes of the file that belong to no stream."""
        return self.file_end - sum(block.length for block in self.blocks)

    def tell(self, record: Record) -> None:
        if self.closed:
            self._blame("a record follows Close")
        match record:
            case Check(file_offset=file_offset, position=position, digest=digest):
                self._extend(file_offset, position, digest)
            case Anchor():
                self._anchor(record)
            case Close(file_offset=file_offset, position=position):
                self._expect_here(file_offset, position, "Close")
                self.closed = True
            case _:
                assert_never(record)

    def add_tail(self, size: int) -> None:
        """Bytes behind the last record: the stream's, as far as anyone knows."""
        if size > self.file_end:
            self._extend(size, Position(self.position.epoch, self.position.offset + size - self.file_end), None)

    def _extend(self, file_offset: int, position: Position, digest: int | None) -> None:
        length = file_offset - self.file_end
        if length < 0 or position != Position(self.position.epoch, self.position.offset + length):
            self._blame(f"a check of {length} bytes ends at {_said(position)}")
        elif length:
            self.blocks.append(Block(self.file_end, self.position, length, digest))
        self.file_end, self.position = file_offset, position

    def _anchor(self, anchor: Anchor) -> None:
        match anchor.cause:
            case Cause.START:
                self._start(anchor)
            case Cause.EPOCH | Cause.GAP:
                self._skip(anchor)
            case Cause.RESUMED:
                self._expect_here(anchor.file_offset, anchor.position, "a resumption")
            case Cause.FOREIGN:
                self._expect_stream(anchor, anchor.file_offset - self.file_end)
            case Cause.TRUNCATED | Cause.CLEARED:
                self._cut(anchor, anchor.file_offset)
            case Cause.REPLACED:
                self._cut(anchor, 0)
            case _:
                assert_never(anchor.cause)
        self.file_end, self.position = anchor.file_offset, anchor.position

    def _start(self, anchor: Anchor) -> None:
        if self.file_end or self.position != NOWHERE:
            self._blame("a part begins in the middle")
        self.start = anchor.position

    def _skip(self, anchor: Anchor) -> None:
        """The stream goes on elsewhere, the file does not."""
        epoch, offset = anchor.position
        expected = offset if epoch > self.position.epoch else offset - self.position.offset
        if anchor.position < self.position or anchor.gap_bytes != expected or anchor.file_offset != self.file_end:
            self._blame(f"the stream jumps to {_said(anchor.position)}, stated are {anchor.gap_bytes} lost bytes")
        if expected > 0:
            self.gaps.append(Gap(epoch, offset - expected, offset, Cause.GAP))

    def _expect_stream(self, anchor: Anchor, foreign_bytes: int) -> None:
        if foreign_bytes < 0 or anchor.position != self.position:
            self._blame(f"foreign bytes move the stream to {_said(anchor.position)}")

    def _expect_here(self, file_offset: int, position: Position, what: str) -> None:
        if (file_offset, position) != (self.file_end, self.position):
            self._blame(f"{what} is at {_said(position)}, byte {file_offset} of the file")

    def _cut(self, anchor: Anchor, file_end: int) -> None:
        lost = self._pop_behind(file_end)
        if anchor.position < self.position:
            self._blame(f"after a cut the stream goes back to {_said(anchor.position)}")
        elif anchor.position.epoch == self.position.epoch and anchor.position.offset > self.position.offset:
            lost.append(Gap(self.position.epoch, self.position.offset, anchor.position.offset, anchor.cause))
        self.gaps.extend(_merged(lost, anchor.cause))

    def _pop_behind(self, file_end: int) -> list[Gap]:
        lost: list[Gap] = []
        while self.blocks and self.blocks[-1].file_end > file_end:
            block = self.blocks.pop()
            kept = max(file_end - block.file_offset, 0)
            lost.append(Gap(block.position.epoch, block.position.offset + kept, block.end, Cause.TRUNCATED))
            if kept:
                self.blocks.append(block.cut(file_end))
        return lost[::-1]

    def _blame(self, what: str) -> None:
        self.problems.append(
            f"{what}, but the index stands at {_said(self.position)}, byte {self.file_end} of the file"
        )


def history_of(records: Iterable[Record]) -> History:
    history = History()
    for record in records:
        history.tell(record)
    return history


def _merged(gaps: list[Gap], why: Cause) -> Iterator[Gap]:
    """Neighbours become one gap."""
    start: Gap | None = None
    for gap in gaps:
        if start is not None and (start.epoch, start.end) == (gap.epoch, gap.start):
            start = Gap(start.epoch, start.start, gap.end, why)
            continue
        if start is not None:
            yield start
        start = Gap(gap.epoch, gap.start, gap.end, why)
    if start is not None:
        yield start


def _said(position: Position) -> str:
    return f"epoch {position.epoch}, offset {position.offset}"
