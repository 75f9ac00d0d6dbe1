"""What a log gives to a subscriber: places, lines, epochs and gaps, and a thread that neither runs ahead nor stays."""

import threading
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ipc.log_index import Position
from ipc.log_replay import LogReplay, Piece, Wish, pieces_of
from ipc.replay import nth_line_from_the_end
from ipc.sink_spec import LogSpec
from tests.ipc.log_support import (
    LOG,
    at,
    no_sink_left_open,  # noqa: F401 - a fixture
    open_sink,
    put,
    stream,
)

PATIENCE_S = 20.0


@given(data=st.binary(max_size=60).map(lambda raw: bytes(10 if byte % 3 == 0 else 65 for byte in raw)), count=st.data())
def test_the_nth_line_is_the_one_that_splitlines_finds(data, count):
    """Whether or not the last line has its end."""
    wanted = count.draw(st.integers(1, 30))
    lines = data.splitlines(keepends=True)
    end = len(data) - data.endswith(b"\n")
    place, missing = nth_line_from_the_end(data, end, wanted)
    assert data[place:] == b"".join(lines[-wanted:])
    assert missing == max(0, wanted - data.count(b"\n", 0, end))


def test_lines_are_counted_over_blocks() -> None:
    data = b"x" * 5000 + b"\n" + b"y" * 9000 + b"\nz\n"
    assert nth_line_from_the_end(data, len(data) - 1, 1) == (14_002, 0)
    assert nth_line_from_the_end(data, len(data) - 1, 2) == (5001, 0)
    assert nth_line_from_the_end(data, len(data) - 1, 3) == (0, 1)


def spec(directory: Path) -> LogSpec:
    return LogSpec(str(directory), LOG, "")


def three_epochs(directory: Path) -> None:
    """Epoch 1 to 50 000, epoch 2 to 200 000 with a hole at 1000 to 2000 and its last 500 bytes lost, then epoch 3."""
    sink = open_sink(directory, max_bytes=60_000)
    put(sink, 1, 0, 50_000)
    put(sink, 2, 0, 1000)
    put(sink, 2, 2000, 199_500)
    sink.end_epoch(2, 200_000, at(1))
    put(sink, 3, 0, 70_000)
    sink.close(at(2))


def played(directory: Path, wish: Wish) -> list[tuple[int, int, int]]:
    """Epoch, first and end of each stretch; each byte compared. An epoch's end has nothing between them."""
    found: list[tuple[int, int, int]] = []
    for place, data, ends_epoch in pieces_of(spec(directory), wish):
        assert data == stream(place.epoch, place.offset, place.offset + len(data))
        if found and not ends_epoch and found[-1][::2] == place:
            found[-1] = (place.epoch, found[-1][1], place.offset + len(data))
        else:
            found.append((place.epoch, place.offset, place.offset + len(data)))
    return found


def test_epochs_follow_with_their_ends_and_their_holes(tmp_path: Path) -> None:
    three_epochs(tmp_path)
    assert played(tmp_path, Wish(Position(0, 0), Position(3, 65_000))) == [
        (1, 0, 50_000),
        (1, 50_000, 50_000),
        (2, 0, 1000),
        (2, 2000, 199_500),
        (2, 200_000, 200_000),
        (3, 0, 65_000),
    ]


def test_exactly_the_bytes_between_two_places(tmp_path: Path) -> None:
    three_epochs(tmp_path)
    assert played(tmp_path, Wish(Position(2, 59_999), Position(2, 60_001))) == [(2, 59_999, 60_001)]
    assert played(tmp_path, Wish(Position(2, 500), Position(2, 2500))) == [(2, 500, 1000), (2, 2000, 2500)]
    assert played(tmp_path, Wish(Position(1, 50_000), Position(2, 10))) == [(1, 50_000, 50_000), (2, 0, 10)]


def test_a_log_that_does_not_exist_has_nothing(tmp_path: Path) -> None:
    assert played(tmp_path, Wish(Position(0, 0), Position(3, 1))) == []


def test_lines_of_a_log_are_not_counted_across_a_hole(tmp_path: Path) -> None:
    """What lies before a gap is not shown as if it were joined to what follows."""
    three_epochs(tmp_path)
    first = next(iter(pieces_of(spec(tmp_path), Wish(Position(2, 5000), Position(2, 5000), lines=1000))))
    assert first == Piece(Position(2, 2000), b"")


def test_a_reader_is_never_far_ahead_and_ends_when_it_is_closed(tmp_path: Path) -> None:
    """A subscriber that takes nothing costs four pieces; one that leaves costs nothing."""
    sink = open_sink(tmp_path)
    put(sink, 1, 0, 2_000_000)
    sink.close(at(1))
    woken = threading.Semaphore(0)
    replay = LogReplay(spec(tmp_path), Wish(Position(1, 0), Position(1, 2_000_000)), woken.release)
    for _ in range(4):
        assert woken.acquire(timeout=PATIENCE_S)
    assert not woken.acquire(timeout=0.2)  # that nothing more comes shows only in time
    replay.close()
    replay.thread.join(PATIENCE_S)
    assert not replay.thread.is_alive()
