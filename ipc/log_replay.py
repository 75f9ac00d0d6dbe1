"""What a subscriber missed and the ring no longer has, read from the session's log on a thread of its own.

Facts. Reading a log may take long: a compressed part is unpacked from its beginning, every index is looked through,
and a network file system may hang for ever. The thread that serves all subscribers must do none of this.

Design. One thread for each subscriber that needs it, at most `_PIECES_AHEAD` pieces ahead of him, so a slow one costs
no memory. It is told to stop by closing; one that hangs in a system call ends with the process, whom it does not hold
back.
"""

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from ipc.log_history import Block
from ipc.log_index import Position
from ipc.log_reader import LogSnapshot, Part, read_block
from ipc.replay import nth_line_from_the_end
from ipc.router_messages import MAX_DATA_BYTES
from ipc.sink_spec import LogSpec

_PIECES_AHEAD = 4
_FIRST_SEARCH_BYTES = 1 << 16
_MOST_SEARCH_BYTES = 1 << 24


class Wish(NamedTuple):
    """From `start` up to `end`; or so many lines before `end`, in its epoch."""

    start: Position
    end: Position
    lines: int = 0
    at_end: bool = False  # the last line counts although its end is the last byte


class Piece(NamedTuple):
    """Bytes of OUT. Without any it says where the stream stood when the epoch ended, or where the lines begin."""

    place: Position
    data: bytes
    ends_epoch: bool = False


class LogReplay:
    """`wake` is called from the thread, after each piece and at the end."""

    def __init__(self, log: LogSpec, wish: Wish, wake: Callable[[], None]) -> None:
        self._log = log
        self._wish = wish
        self._wake = wake
        self._pieces: queue.Queue[Piece | None] = queue.Queue(_PIECES_AHEAD)
        self._closed = False
        self.thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self.thread.start()

    def is_ready(self) -> bool:
        return not self._pieces.empty()

    def take(self) -> Piece | None:
        """To be called when it is ready. None: that was all."""
        return self._pieces.get_nowait()

    def close(self) -> None:
        self._closed = True
        while self.is_ready():
            self._pieces.get_nowait()  # room for the one that it is about to put

    def _run(self) -> None:
        # What the log cannot give, for whatever reason, is a gap, stated before what comes next.
        with contextlib.suppress(Exception), contextlib.closing(pieces_of(self._log, self._wish)) as pieces:
            for piece in pieces:
                self._put(piece)
                if self._closed:
                    return
        self._put(None)

    def _put(self, piece: Piece | None) -> None:
        if not self._closed:
            self._pieces.put(piece)
            self._wake()


def pieces_of(log: LogSpec, wish: Wish) -> Generator[Piece, None, None]:
    with LogSnapshot(log.directory, log.name) as snapshot:
        epochs = _epochs(snapshot.parts)
        start = wish.start
        if wish.lines:
            start = Position(wish.end.epoch, _line_start(epochs.get(wish.end.epoch, _Epoch()), wish))
            yield Piece(start, b"")
        for number in sorted(epochs):
            if start.epoch <= number <= wish.end.epoch:
                yield from _epoch_pieces(number, epochs[number], start, wish.end)


class _Epoch:
    """What the log has of one epoch, and where it knows its end."""

    def __init__(self) -> None:
        self.blocks: list[tuple[Part, Block]] = []
        self.end = 0


def _epochs(parts: list[Part]) -> dict[int, _Epoch]:
    found: dict[int, _Epoch] = {}
    for part in parts:
        history = part.history()
        if part.current and not history.closed:
            history.add_tail(part.size_bytes)
        for block in history.blocks:
            epoch = found.setdefault(block.position.epoch, _Epoch())
            epoch.blocks.append((part, block))
            epoch.end = max(epoch.end, block.end)
        for gap in history.gaps:
            epoch = found.setdefault(gap.epoch, _Epoch())
            epoch.end = max(epoch.end, gap.end)
    return found


def _epoch_pieces(number: int, epoch: _Epoch, start: Position, end: Position) -> Iterator[Piece]:
    first = start.offset if number == start.epoch else 0
    last = end.offset if number == end.epoch else epoch.end
    for offset, data in _read(epoch, first, last):
        yield Piece(Position(number, offset), data)
    if number < end.epoch:
        yield Piece(Position(number, max(first, epoch.end)), b"", ends_epoch=True)


def _read(epoch: _Epoch, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    """In pieces that fit a packet. One part is open at a time."""
    for _, group in itertools.groupby(epoch.blocks, key=lambda owned: id(owned[0])):
        owned = list(group)
        part = owned[0][0]
        wanted = [block for _, block in owned if block.end > first and block.position.offset < last]
        file = part.open() if wanted else None
        if file is not None:
            with file:
                for block in wanted:
                    yield from _cut(read_block(file, block, max(0, first - block.position.offset)), block, first, last)


def _cut(pieces: Iterator[bytes], block: Block, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    offset = max(first, block.position.offset)
    for piece in pieces:
        for at in range(0, min(len(piece), last - offset), MAX_DATA_BYTES):
            yield offset + at, piece[at : min(at + MAX_DATA_BYTES, last - offset)]
        offset += len(piece)


def _line_start(epoch: _Epoch, wish: Wish) -> int:
    """Searched from the end on, in ever longer stretches; what lies before the longest is left out."""
    end = wish.end.offset
    search = _FIRST_SEARCH_BYTES
    while True:
        data = _contiguous_before(epoch, max(0, end - search), end)
        unended = len(data) - (wish.at_end and data.endswith(b"\n"))
        place, missing = nth_line_from_the_end(data, unended, wish.lines)
        if not missing or len(data) < search or search >= _MOST_SEARCH_BYTES:
            return end - len(data) + place
        search *= 4


def _contiguous_before(epoch: _Epoch, first: int, end: int) -> bytes:
    kept: list[bytes] = []
    reached = first
    for offset, data in _read(epoch, first, end):
        if offset != reached:
            kept.clear()
        kept.append(data)
        reached = offset + len(data)
    return b"".join(kept) if reached == end else b""
