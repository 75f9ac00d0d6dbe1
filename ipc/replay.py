"""Where a subscriber's stream begins, and where the ring takes over from the log.

A place is (epoch, offset of OUT). What lies between the place a subscriber is at and the first one that the ring
still has is in the log, if the session has one (see log_replay). By the time the log has been read the ring may have
moved on: so joining is not an event at the beginning, but a question that is asked again whenever the log has said
all it was asked for.
"""

from typing import NamedTuple, assert_never

from ipc.frames import Kind
from ipc.log_index import Position
from ipc.ring_reader import Copied, Follower, Lapped
from ipc.router_messages import MAX_DATA_BYTES, LastBytes, LastLines, Now, Origin, Since

_MOST_SEARCH_BYTES = 1 << 24
_LINE_BLOCK_BYTES = 1 << 12


class Start(NamedTuple):
    """`missing_lines`: the place is the ring's first of this epoch, and so many more lines are wanted from the log."""

    place: Position
    cursor: int | None = None  # exactly this frame; else the one that holds the place
    missing_lines: int = 0
    at_end: bool = False  # the ring has nothing of OUT: what the log ends with is the last line


class Joint(NamedTuple):
    """The first frame of the ring that is of use to somebody who stands at some place, and where it begins."""

    cursor: int
    place: Position


def start_of(origin: Origin, follower: Follower) -> Start:
    standing = Position(*follower.standing())
    match origin:
        case Now() | LastLines(0):
            return Start(standing, follower.newest)
        case Since(epoch, offset):
            return Start(_within_history(Position(epoch, offset), standing))
        case LastBytes(count):
            return Start(Position(standing.epoch, max(0, standing.offset - count)))
        case LastLines(count):
            return _last_lines(count, standing, follower)
        case _:
            assert_never(origin)


def _within_history(place: Position, standing: Position) -> Position:
    """A place ahead of the stream belongs to another life of this session: all of this one is new."""
    return place if place <= standing else Position(standing.epoch, 0)


def find_joint(place: Position, follower: Follower) -> Joint:
    cursor = follower.seek(*place)
    while True:
        match follower.next_copy(cursor, 1):
            case None:
                return Joint(cursor, Position(*follower.standing()))
            case Lapped(oldest):
                cursor = oldest
            case Copied(run, _):
                return Joint(cursor, Position(run.epoch, run.other_offset if run.kind == Kind.ERR else run.offset))


def _last_lines(count: int, standing: Position, follower: Follower) -> Start:
    """A last line without its end counts."""
    tail = _tail_in_ring(standing, follower)
    begin = Position(standing.epoch, standing.offset - len(tail))
    unended = len(tail) - tail.endswith(b"\n")
    place, missing = nth_line_from_the_end(tail, unended, count)
    if not missing or not begin.offset or len(tail) >= _MOST_SEARCH_BYTES:
        return Start(Position(begin.epoch, begin.offset + place))
    return Start(begin, None, missing, at_end=not tail)


def _tail_in_ring(standing: Position, follower: Follower) -> bytes:
    """OUT's last bytes of this epoch, as far as they lie in the ring in one piece up to its standing."""
    pieces: list[tuple[int, bytes]] = []
    cursor = follower.seek(standing.epoch, max(0, standing.offset - _MOST_SEARCH_BYTES))
    while (copied := follower.next_copy(cursor, MAX_DATA_BYTES)) is not None:
        match copied:
            case Lapped(oldest):
                cursor = oldest
                pieces.clear()
            case Copied(run, data):
                cursor = run.end
                if run.kind == Kind.OUT and run.epoch == standing.epoch and run.offset < standing.offset:
                    pieces.append((run.offset, data[: standing.offset - run.offset]))
    return _last_contiguous(pieces, standing.offset)


def _last_contiguous(pieces: list[tuple[int, bytes]], end: int) -> bytes:
    kept: list[bytes] = []
    for offset, data in reversed(pieces):
        if offset + len(data) != end:
            break
        kept.append(data)
        end = offset
    return b"".join(reversed(kept))


def nth_line_from_the_end(data: bytes, end: int, count: int) -> tuple[int, int]:
    """Where the last `count` lines before `end` begin, and how many more lie further ahead (then it is 0)."""
    while count:
        block = max(0, end - _LINE_BLOCK_BYTES)
        found = data.count(b"\n", block, end)
        if found < count:
            if not block:
                return 0, count - found
            count, end = count - found, block
            continue
        end = data.rfind(b"\n", block, end)
        count -= 1
    return end + 1, 0
