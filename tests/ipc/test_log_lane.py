"""A lane, by itself: what it does when there is no end to what it drains."""

import time
from pathlib import Path

import pytest

from ipc import log_lane
from ipc.frames import Kind
from ipc.lane_sessions import Round
from ipc.log_lane import LogLane
from ipc.log_sink import Moment
from ipc.ring_dir import create_ring_dir, open_board, open_reader_bell
from ipc.ring_file import create_ring
from ipc.ring_spec import RingSpec
from ipc.sink_spec import LogSpec, SinkSpec
from tests.support.changes import wait_until
from tests.support.router_process import Writer, stream

BELL = 1
PATIENCE_S = 10


def lane(shm_dir: str) -> LogLane:
    return LogLane(
        shm_dir, open_board(shm_dir), BELL, open_reader_bell(shm_dir, BELL), report=print, began=lambda _: None
    )


def test_a_drain_without_end_is_given_up(shm_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that writes as fast as its log is written keeps no lane from ending; the next one goes on there."""
    monkeypatch.setattr(log_lane, "_DRAIN_NS", 50_000_000)
    create_ring_dir(shm_dir)
    create_ring(shm_dir, "s", RingSpec(0))
    writer = Writer(shm_dir, "s", 0)
    spec = SinkSpec("s", 0, LogSpec(str(tmp_path), "s.log", ""))
    log = tmp_path / "s.log"
    first = lane(shm_dir)
    rounds, one_round = 0, first.sessions.round

    def never_the_last(now: Moment) -> Round:
        nonlocal rounds
        rounds += 1
        writer.try_write(100)
        return one_round(now)

    first.post(lambda sessions: sessions.serve(spec))
    first.post(lambda sessions: setattr(sessions, "round", never_the_last))
    wait_until(str(tmp_path), lambda: log.exists() and log.stat().st_size > 0)
    first.stop()
    assert first.join(time.monotonic() + PATIENCE_S)
    assert rounds > 10
    writer.write(100)
    second = lane(shm_dir)
    second.post(lambda sessions: sessions.serve(spec))
    written = writer.offset(Kind.OUT)
    wait_until(str(tmp_path), lambda: log.stat().st_size == written)
    second.stop()
    assert second.join(time.monotonic() + PATIENCE_S)
    assert log.read_bytes() == stream(Kind.OUT, 0, 0, written)
    writer.close()


def test_a_lane_rests_only_once_everything_is_written(
    shm_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many turns that takes: a nap on a full ring would be what a flood is held back by."""
    create_ring_dir(shm_dir)
    create_ring(shm_dir, "s", RingSpec(0, size_bytes=4 << 20, max_bytes=4 << 20))
    writer = Writer(shm_dir, "s", 0)
    log = tmp_path / "s.log"
    written = 0
    while length := writer.try_write(60_000):
        written += length
    assert written > 2 << 20, "more than a turn"
    sizes_at_rest: list[int] = []

    def rest(_: float) -> None:
        sizes_at_rest.append(log.stat().st_size)

    monkeypatch.setattr("time.sleep", rest)
    one = lane(shm_dir)
    spec = SinkSpec("s", 0, LogSpec(str(tmp_path), "s.log", ""))
    one.post(lambda sessions: sessions.serve(spec))
    wait_until(str(tmp_path), lambda: log.exists() and log.stat().st_size == written)
    one.stop()
    assert one.join(time.monotonic() + PATIENCE_S)
    assert set(sizes_at_rest) == {written}
    writer.close()
