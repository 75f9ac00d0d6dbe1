"""Where a subscriber's stream begins, and what of it has to come from the log because the ring no longer has it."""

from collections.abc import Iterator
from typing import NamedTuple, assert_never

from ipc.frames import Kind
from ipc.log_reader import LogMoved, read_stream
from ipc.ring_reader import Copied, Follower
from ipc.router_messages import MAX_DATA_BYTES, LastBytes, LastLines, Now, Origin, Since
from ipc.sink_spec import LogSpec

_LINE_SEARCH_BYTES = 1 << 16
_MOST_SEARCH_BYTES = 1 << 24


class Start(NamedTuple):
    """Play `from_log` first, if there is any, then read the ring at `cursor`, leaving out what lies before `offset`."""

    epoch: int
    offset: int
    cursor: int
    from_log: Iterator[tuple[int, bytes]] | None


def start_of(origin: Origin, follower: Follower, log: LogSpec | None) -> Start:
    epoch, end = follower.standing()
    match origin:
        case Now():
            return Start(epoch, end, follower.newest, None)
        case Since(wanted_epoch, offset):
            return _start_at(wanted_epoch, offset, follower, log)
        case LastBytes(count):
            return _start_at(epoch, max(0, end - count), follower, log)
        case LastLines(count):
            return _start_at(epoch, _line_start(epoch, end, count, follower, log), follower, log)
        case _:
            assert_never(origin)


def _start_at(epoch: int, offset: int, follower: Follower, log: LogSpec | None) -> Start:
    cursor = follower.seek(epoch, offset)
    in_ring = _first_out_offset(follower, cursor, epoch)
    if log is None or in_ring <= offset:
        return Start(epoch, offset, cursor, None)
    return Start(epoch, offset, cursor, _from_log(log, epoch, offset, in_ring))


def _first_out_offset(follower: Follower, cursor: int, epoch: int) -> int:
    """Where the ring's own record of this epoch begins, at or behind the cursor."""
    while isinstance(copied := follower.next_copy(cursor, 1), Copied):
        run = copied.run
        if run.epoch == epoch:
            return run.other_offset if run.kind == Kind.ERR else run.offset
        if run.epoch > epoch:
            break
        cursor = run.end
    standing_epoch, offset = follower.standing()
    return offset if standing_epoch == epoch else 2**63


def _from_log(log: LogSpec, epoch: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    for offset, piece in read_stream(log.directory, log.name, epoch, start, end):
        for at in range(0, len(piece), MAX_DATA_BYTES):
            yield offset + at, piece[at : at + MAX_DATA_BYTES]


def _line_start(epoch: int, end: int, count: int, follower: Follower, log: LogSpec | None) -> int:
    """The offset at which the last `count` lines begin. A last line without its end counts."""
    search = _LINE_SEARCH_BYTES
    while True:
        start = max(0, end - search)
        data, start = _bytes_between(epoch, start, end, follower, log)
        place = _nth_line_from_the_end(data, count)
        if place is not None:
            return start + place
        if start == 0 or search >= _MOST_SEARCH_BYTES or end - start < search:
            return start
        search *= 4


def _nth_line_from_the_end(data: bytes, count: int) -> int | None:
    place = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(count):
        place = data.rfind(b"\n", 0, max(place, 0))
        if place < 0:
            return None
    return place + 1


def _bytes_between(epoch: int, start: int, end: int, follower: Follower, log: LogSpec | None) -> tuple[bytes, int]:
    """As much of the range as there is in one piece up to its end, and where that begins."""
    begin = _start_at(epoch, start, follower, log)
    pieces: list[tuple[int, bytes]] = []
    try:
        pieces += begin.from_log or ()
    except (OSError, LogMoved):
        pieces.clear()
    cursor = begin.cursor
    while isinstance(copied := follower.next_copy(cursor, MAX_DATA_BYTES), Copied):
        run = copied.run
        cursor = run.end
        if run.kind == Kind.OUT and run.epoch == epoch:
            skipped = max(0, start - run.offset)
            pieces.append((run.offset + skipped, copied.data[skipped:]))
    return _last_contiguous(pieces, end)


def _last_contiguous(pieces: list[tuple[int, bytes]], end: int) -> tuple[bytes, int]:
    kept: list[bytes] = []
    begin = end
    for offset, data in reversed(pieces):
        wanted = data[: max(0, end - offset)]
        if not wanted:
            continue
        if offset + len(wanted) != begin:
            break
        kept.append(wanted)
        begin = offset
    return b"".join(reversed(kept)), begin
