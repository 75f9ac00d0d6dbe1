"""Reading a log and its index, whoever writes it meanwhile: all parts in order, one stream's bytes, a place in time.

A reader takes no lock. It looks at the names, opens the index and the log of the current part, and looks again: had
the part been rotated in between, the two would not belong together, and it starts over. A rotated part is opened by
its number, plain or compressed, when its turn comes.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, dropwhile
from pathlib import Path
from typing import IO, Self

import zstandard

from ipc.log_directory import PartFiles, index_name, list_parts, open_directory, open_regular
from ipc.log_history import Block, History, history_of
from ipc.log_index import RECORD_BYTES, Close, Header, Position, Record, decode_header, slots
from ipc.log_kernel import KERNEL

_PIECE_BYTES = 256 * 1024
_ATTEMPTS = 8


class LogMoved(Exception):  # noqa: N818 - a state of the log
    """The log was rotated or pruned under the reader's eyes too often."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index as it was read."""

    header: Header | None
    records: tuple[Record, ...]
    damaged: tuple[int, ...]  # numbers of the records that are
    torn_bytes: int  # behind the last whole record
    is_tiny: bool  # it lacks even the first record

    @classmethod
    def of(cls, raw: bytes) -> Self:
        found = list(enumerate(slots(raw[RECORD_BYTES:], 1), 1))
        return cls(
            decode_header(raw),
            tuple(record for _, record in found if record is not None),
            tuple(number for number, record in found if record is None),
            len(raw) % RECORD_BYTES,
            len(raw) < 2 * RECORD_BYTES,
        )

    @property
    def closed(self) -> bool:
        return bool(self.records) and isinstance(self.records[-1], Close)


@dataclass(slots=True)
class Part:
    number: int | None  # None: no index tells
    name: str
    index: Index | None
    open: Callable[[], IO[bytes] | None]  # the log's bytes; None: there is no such file
    current: bool
    size_bytes: int = 0  # of the current part, before its index was read: which so has all Anchors about these bytes

    def history(self) -> History:
        return history_of(self.index.records if self.index is not None else ())


@dataclass(frozen=True, slots=True)
class _State:
    """What changes with each step of a rotation, of compressing and of deleting."""

    header: Header | None
    closed: bool
    rotated: tuple[PartFiles, ...]


@dataclass(frozen=True, slots=True)
class Place:
    part: str
    file_offset: int
    position: Position


class LogSnapshot:
    """The parts of a log as they lay side by side at one instant."""

    def __init__(self, directory: str | Path, log: str) -> None:
        self._fds: list[int] = []
        self._log = log
        self._directory_fd = open_directory(directory)
        try:
            self._state, self.parts = self._consistent()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for fd in (*self._fds, self._directory_fd):
            os.close(fd)
        self._fds.clear()

    def is_past(self) -> bool:
        """Parts were rotated, compressed or deleted since."""
        return self._state != self._look()

    def _look(self) -> _State:
        index = self._index(index_name(self._log))
        return _State(
            None if index is None else index.header,
            index is not None and index.closed,
            tuple(list_parts(self._directory_fd, self._log)),
        )

    def _consistent(self) -> tuple[_State, list[Part]]:
        for _ in range(_ATTEMPTS):
            state = self._look()
            fd = self._open(self._log)
            size_bytes = os.fstat(fd).st_size if fd is not None else 0
            index = self._index(index_name(self._log))
            parts = [self._rotated(files) for files in dropwhile(_is_going, state.rotated)]
            if state == self._look():
                return state, _joined(parts, self._current(index, fd, size_bytes))
        raise LogMoved(f"{self._log} is rotated faster than it can be read")

    def _current(self, index: Index | None, fd: int | None, size_bytes: int) -> Part | None:
        unborn = index is None or (index.header is None and index.is_tiny)
        if unborn and (fd is None or (index is not None and not os.fstat(fd).st_size)):
            return None  # its writer has not come further yet, or was killed before it did
        number = index.header.part if index is not None and index.header is not None else None
        return Part(number, self._log, index, lambda: _duplicate(fd), True, size_bytes)

    def _rotated(self, files: PartFiles) -> Part:
        index = self._index(files.index) if files.index is not None else None
        name = files.plain or files.packed or files.index or ""
        return Part(files.number, name, index, lambda: self._open_rotated(files.number), current=False)

    def _open_rotated(self, number: int) -> IO[bytes] | None:
        for files in list_parts(self._directory_fd, self._log):
            if files.number != number:
                continue
            for name in (files.plain, files.packed):
                fd = self._open(name) if name is not None else None
                if fd is not None:
                    return _unpacked(fd) if name == files.packed else _duplicate(fd)
        return None

    def _open(self, name: str) -> int | None:
        try:
            fd = open_regular(KERNEL, self._directory_fd, name, os.O_RDONLY, 0)
        except FileNotFoundError:
            return None
        self._fds.append(fd)
        return fd

    def _index(self, name: str) -> Index | None:
        try:
            fd = open_regular(KERNEL, self._directory_fd, name, os.O_RDONLY, 0)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, "rb") as file:
            return Index.of(file.read())


def _is_going(files: PartFiles) -> bool:
    """At the old end an index without its log is a deletion that is under way, or was interrupted."""
    return files.plain is None and files.packed is None


def _joined(rotated: list[Part], current: Part | None) -> list[Part]:
    """Amid a rotation the log has its number and the index has not: the two belong together."""
    if current is None:
        return rotated
    last = rotated[-1] if rotated else None
    closed = current.index is not None and current.index.closed
    if closed and last is not None and last.index is None and last.number == current.number:
        return [*rotated[:-1], Part(last.number, last.name, current.index, last.open, current=False)]
    return [*rotated, current]


def read_block(file: IO[bytes], block: Block, start: int = 0) -> Iterator[bytes]:
    """The block's bytes in pieces, as many as there are."""
    file.seek(block.file_offset + start)
    left = block.length - start
    while left:
        piece = file.read(min(left, _PIECE_BYTES))
        if not piece:
            return
        left -= len(piece)
        yield piece


def size_of(file: IO[bytes]) -> int:
    """Of what is read, which a compressed file does not say."""
    if isinstance(file, zstandard.ZstdDecompressionReader):
        while file.read(_PIECE_BYTES):
            pass
        return file.tell()
    return os.fstat(file.fileno()).st_size


def read_stream(
    directory: str | Path, log: str, epoch: int, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """The bytes of an epoch, with their stream offsets; where the log has a gap, the offsets jump."""
    with LogSnapshot(directory, log) as snapshot:
        for part in snapshot.parts:
            file = part.open()
            if file is None:
                continue
            with file:
                for block in _blocks_with_tail(part):
                    if block.position.epoch == epoch:
                        yield from _within(file, block, start, end)


def find_time(directory: str | Path, log: str, wall_ns: int) -> Place | None:
    """Where to begin reading so as to miss nothing that was written at that time or later. None: nothing was."""
    with LogSnapshot(directory, log) as snapshot:
        records = [record for part in snapshot.parts if part.index for record in part.index.records]
        # The wall clock may have been set back: the first record as late as this, whatever comes behind it.
        latest = list(accumulate((record.time_ns for record in records), max))
        first = bisect_left(latest, wall_ns)
        if not records:
            return None
        since = records[max(first - 1, 0)].position
        return _locate(snapshot.parts, since)


def _locate(parts: list[Part], since: Position) -> Place | None:
    for part in parts:
        for block in _blocks_with_tail(part):
            skipped = since.offset - block.position.offset if since.epoch == block.position.epoch else 0
            if since.epoch <= block.position.epoch and skipped < block.length:
                skipped = max(skipped, 0)
                epoch, offset = block.position
                return Place(part.name, block.file_offset + skipped, Position(epoch, offset + skipped))
    return None


def _blocks_with_tail(part: Part) -> list[Block]:
    history = part.history()
    if part.current and not history.closed:
        history.add_tail(part.size_bytes)
    return history.blocks


def _within(file: IO[bytes], block: Block, start: int, end: int | None) -> Iterator[tuple[int, bytes]]:
    skipped = max(start - block.position.offset, 0)
    if skipped >= block.length:
        return
    at = block.position.offset + skipped
    for piece in read_block(file, block, skipped):
        wanted = piece if end is None else piece[: max(end - at, 0)]
        if not wanted:
            return
        yield at, wanted
        at += len(wanted)


def _duplicate(fd: int | None) -> IO[bytes] | None:
    return None if fd is None else os.fdopen(os.dup(fd), "rb", buffering=0)


def _unpacked(fd: int) -> IO[bytes]:
    source = os.fdopen(os.dup(fd), "rb", buffering=0)
    return zstandard.ZstdDecompressor().stream_reader(source, closefd=True)
