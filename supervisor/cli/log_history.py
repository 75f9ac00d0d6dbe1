"""What a log holds, from its parts, as stretches with times; the end of a log, by bytes or by lines."""

import os
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

import zstandard

from ipc.log_history import Block
from ipc.log_index import Check, Position
from ipc.log_reader import LogMoved, LogSnapshot, Part, read_block
from supervisor.cli.exits import Refusal
from supervisor.cli.log_lines import Stretch

_PIECE_BYTES = 1 << 18
_MARKED_WITHIN_NS = 2 * 10**9  # a writer marks within a second what it wrote; twice that, for one that was busy


class _Chapter(NamedTuple):
    """A block of a part, and between which times it was written."""

    part: Part
    block: Block
    begun_ns: int
    ended_ns: int


class Span(NamedTuple):
    """Wall clock, ns. To the accuracy of the index: what may lie in it does."""

    since_ns: int = 0
    until_ns: int = 2**63


ALL_TIME = Span()


def open_log(path: str) -> LogSnapshot:
    """No parts where nothing was written yet. FileNotFoundError: not even the directory is there."""
    try:
        return LogSnapshot(*os.path.split(path))
    except LogMoved as moved:
        raise Refusal(f"{moved}; try again") from moved


def stretches(snapshot: LogSnapshot, span: Span = ALL_TIME, last_lines: int | None = None) -> Iterator[Stretch]:
    """`last_lines`: at least so many, where there are."""
    chapters = [chapter for chapter in _chapters(snapshot.parts) if _overlaps(chapter, span)]
    if last_lines is not None:
        chapters = _last_chapters(chapters, last_lines)
    for chapter, file in _opened(chapters):
        yield from _read(chapter, file)


def _read(chapter: _Chapter, file: IO[bytes]) -> Iterator[Stretch]:
    epoch, offset = chapter.block.position
    try:
        for piece in read_block(file, chapter.block):
            yield Stretch(chapter.ended_ns, epoch, offset, piece)
            offset += len(piece)
    except zstandard.ZstdError as error:
        raise Refusal(f"{chapter.part.name} is damaged ({error}); ringctl verify says what is lost") from error


def last_bytes(snapshot: LogSnapshot, count: int) -> bytes:
    """Of the files as they are, over as many parts as it takes."""
    found = b""
    for part in reversed(snapshot.parts):
        if len(found) >= count:
            break
        file = part.open()
        if file is not None:
            with file:
                found = _end_of(file, count - len(found), part.size_bytes if part.current else None) + found
    return found


def _overlaps(chapter: _Chapter, span: Span) -> bool:
    return chapter.ended_ns >= span.since_ns and chapter.begun_ns <= span.until_ns


def _chapters(parts: Sequence[Part]) -> Iterator[_Chapter]:
    before_ns = 0
    for part in parts:
        records = part.index.records if part.index is not None else ()
        times = {record.position: record.time_ns for record in records if isinstance(record, Check)}
        for block in _blocks(part):
            end = Position(block.position.epoch, block.end)
            ended_ns = times.get(end) or (_written_ns(part) if block.digest is None else before_ns)
            yield _Chapter(part, block, max(before_ns, ended_ns - _MARKED_WITHIN_NS), max(before_ns, ended_ns))
            before_ns = max(before_ns, ended_ns)


def _blocks(part: Part) -> list[Block]:
    history = part.history()
    if part.current and not history.closed:
        history.add_tail(part.size_bytes)
    return history.blocks


def _written_ns(part: Part) -> int:
    """What no record vouches for yet is as old as the file."""
    file = part.open()
    if file is None:
        return 0
    with file:
        return os.fstat(file.fileno()).st_mtime_ns if part.current else 0


def _last_chapters(chapters: list[_Chapter], lines: int) -> list[_Chapter]:
    """From the end back, until there are more ends of lines than lines are wanted."""
    kept: list[_Chapter] = []
    for part in reversed(list({chapter.part.name: chapter.part for chapter in chapters}.values())):
        of_part = [chapter for chapter in chapters if chapter.part is part]
        ends = [_count_lines(file, chapter.block) for chapter, file in _opened(of_part)]
        for chapter, count in zip(reversed(of_part), reversed(ends), strict=False):
            kept.append(chapter)
            lines -= count
            if lines < 0:
                return kept[::-1]
    return kept[::-1]


def _count_lines(file: IO[bytes], block: Block) -> int:
    return sum(piece.count(b"\n") for piece in read_block(file, block))


def _opened(chapters: Sequence[_Chapter]) -> Iterator[tuple[_Chapter, IO[bytes]]]:
    """Each part is opened once; one that was deleted meanwhile is passed over."""
    part: Part | None = None
    file: IO[bytes] | None = None
    try:
        for chapter in chapters:
            if chapter.part is not part:
                if file is not None:
                    file.close()
                part, file = chapter.part, chapter.part.open()
            if file is not None:
                yield chapter, file
    finally:
        if file is not None:
            file.close()


def _end_of(file: IO[bytes], count: int, size: int | None) -> bytes:
    """`size`: at which the snapshot was taken; what came since is not of it."""
    if not isinstance(file, zstandard.ZstdDecompressionReader):
        size = os.fstat(file.fileno()).st_size if size is None else size
        count = min(count, size)
        file.seek(size - count)
        return file.read(count)
    end = b""  # an archive is only read forward
    while piece := file.read(_PIECE_BYTES):
        end = (end + piece)[-count:]
    return end
