"""The router as a process: what stands in the rings is in the logs, whatever happens to it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc import ring_layout as at
from ipc.frames import Kind
from ipc.log_verify import verify_log
from ipc.ring_file import ring_path
from ipc.ring_layout import Policy
from ipc.router_messages import Done, Drop, Serve, decode_from_router, encode
from tests.chaos.router_storm import storm
from tests.support.router_process import Installation, Writer, installation, stream

MIB = 1 << 20


@pytest.fixture
def router(shm_dir: str, tmp_path: Path) -> Iterator[Installation]:
    with installation(shm_dir, str(tmp_path)) as running:
        running.start()
        yield running


def gaps(router: Installation, session: str) -> list[tuple[int, int, int]]:
    report = verify_log(router.log_dir, f"{session}.log")
    assert report.problems == []
    return [(gap.epoch, gap.start, gap.end) for gap in report.gaps]


def in_log(router: Installation, session: str, epoch: int) -> int:
    """Where the epoch stands in the log."""
    return max((e.end for e in verify_log(router.log_dir, f"{session}.log").epochs if e.epoch == epoch), default=0)


def test_many_sessions_are_logged_to_the_byte(router: Installation) -> None:
    """OUT and ERR apart, each session on its own."""
    writers = {f"s{n}": router.session(f"s{n}") for n in range(20)}
    for turn in range(10):
        for writer in writers.values():
            writer.write(1000 + turn)
            writer.write(10 + turn, Kind.ERR)
    for name in writers:
        assert router.wait_logged(name, 10_045) == stream(Kind.OUT, 1, 0, 10_045)
        assert router.wait_logged(name, 145, "err.log") == stream(Kind.ERR, 1, 0, 145)


def test_epochs_follow_each_other_and_the_index_knows_them(router: Installation) -> None:
    writer = router.session("a")
    for epoch in range(1, 6):
        if epoch > 1:
            writer.begin(epoch)
        writer.write(epoch * 1000)
        writer.end()
    expected = b"".join(stream(Kind.OUT, epoch, 0, epoch * 1000) for epoch in range(1, 6))
    assert router.wait_logged("a", len(expected)) == expected
    report = verify_log(router.log_dir, "a.log")
    assert [(epoch.epoch, epoch.count) for epoch in report.epochs] == [(n, n * 1000) for n in range(1, 6)]


def test_what_was_written_before_any_router_is_logged_by_the_first_one(shm_dir: str, tmp_path: Path) -> None:
    with installation(shm_dir, str(tmp_path)) as router:
        writer = router.session("early")
        writer.write(30_000)
        router.start()
        assert router.wait_logged("early", 30_000) == stream(Kind.OUT, 1, 0, 30_000)


def test_a_lapped_ring_is_a_gap_in_the_index_and_nothing_else(shm_dir: str, tmp_path: Path) -> None:
    """Nobody reads for a while: what the ring dropped is stated to the byte, the rest is exact."""
    with installation(shm_dir, str(tmp_path)) as router:
        writer = router.session("lossy", policy=Policy.DROP_OLDEST, max_bytes=65536)
        writer.write(1 * MIB)
        router.start()
        router.connect()
        writer.write(1000)
        router.wait_in(router.log_dir, lambda: in_log(router, "lossy", 1) == MIB + 1000)
        [(epoch, start, end)] = gaps(router, "lossy")
        assert (epoch, start) == (1, 0)
        assert router.wait_logged("lossy", 1) == stream(Kind.OUT, 1, end, MIB + 1000)
        assert end < MIB


def test_a_program_that_waits_for_its_log_runs_on_when_a_router_comes(shm_dir: str, tmp_path: Path) -> None:
    """The writer sleeps on a full block ring, without a router; each new router wakes it."""
    with installation(shm_dir, str(tmp_path)) as router:
        router.create("full", max_bytes=65536)
        load = router.forks.fork("load", router.ring_dir, [("full", 0)], 1)
        for part in range(1, 6):
            router.start()
            router.wait_logged("full", part * MIB)
            router.kill()
            router.wait_for_full_ring("full")
        router.start()
        router.wait_logged("full", 6 * MIB)
        assert router.forks.kill(load, signal.SIGTERM) == 0
        end = router.written("full")
        assert router.wait_logged("full", end) == stream(Kind.OUT, 1, 0, end)


def test_writers_asleep_when_the_router_comes_back_lose_no_wake_up(router: Installation) -> None:
    """Each byte that is written alone, after a new router has gone to sleep, reaches the log."""
    writers = [router.session(f"w{n}") for n in range(5)]
    for turn in range(1, 8):
        router.kill()
        router.start()
        router.status()
        for number, writer in enumerate(writers):
            writer.write(1)
            assert len(router.wait_logged(f"w{number}", turn)) == turn


@pytest.mark.slow
def test_killed_a_hundred_times_under_load_nothing_is_lost_or_doubled(router: Installation) -> None:
    """The writers in a child keep writing, and are killed in between as well; logs and indexes end exact."""
    storm(router, kills=100, seed=5)


def test_dropped_after_everything_is_written(router: Installation) -> None:
    """Done is said when the ring's rest is in the log; serving it again goes on where it was."""
    writer = router.session("d", size_bytes=8 * MIB)
    with router.paused():
        writer.write(7 * MIB)
        dropping = router.connect()
        dropping.send(encode(Drop(3, "d")))
    assert decode_from_router(dropping.recv(1 << 16)) == Done(3)
    assert Path(router.log_dir, "d.log").read_bytes() == stream(Kind.OUT, 1, 0, 7 * MIB)
    writer.write(100)
    assert router.order(Serve(4, "d")) == Done(4)
    assert router.wait_logged("d", 7 * MIB + 100)[-100:] == stream(Kind.OUT, 1, 7 * MIB, 7 * MIB + 100)


def test_a_session_goes_on_in_another_directory_where_it_left_off(router: Installation, tmp_path: Path) -> None:
    """Served again with a changed sink: each byte is in one of the two logs."""
    writer = router.session("m")
    writer.write(10_000)
    router.wait_logged("m", 10_000)
    other = tmp_path / "other"
    other.mkdir()
    router.change("m", router.log("m", str(other)))
    assert router.order(Serve(4, "m")) == Done(4)
    writer.write(10_000)
    assert router.wait_logged("m", 10_000, directory=str(other)) == stream(Kind.OUT, 1, 10_000, 20_000)
    assert Path(router.log_dir, "m.log").stat().st_size == 10_000


def test_without_its_log_a_block_ring_waits_for_nobody(router: Installation) -> None:
    """The log is taken away while the program runs: it must not wait for a reader that never comes."""
    writer = router.session("n", max_bytes=65536)
    router.change("n", None)
    assert router.order(Serve(4, "n")) == Done(4)
    writer.write(1 * MIB)
    assert writer.ring.memory.q[at.reader_word(at.ReaderSlot.LOG, at.R_STATE)] == at.ReaderState.FREE


def test_a_log_taken_away_while_no_router_ran_holds_nobody_back(shm_dir: str, tmp_path: Path) -> None:
    with installation(shm_dir, str(tmp_path)) as router:
        writer = router.session("n", max_bytes=65536)
        writer.fill()
        router.change("n", None)
        router.start()
        writer.write(1 * MIB)


def test_a_growing_and_shrinking_ring_is_followed(router: Installation) -> None:
    """Generations change under the router while it writes; not a byte is lost."""
    writer: Writer = router.session("g", max_bytes=4 * MIB)
    for _ in range(3):
        with router.paused():
            writer.fill()
            assert writer.ring.memory.data_bytes == 4 * MIB
        router.wait_logged("g", writer.offset(Kind.OUT))
        writer.write(10)
        router.wait_logged("g", writer.offset(Kind.OUT))
        assert writer.ring.resize(65536)
    end = writer.offset(Kind.OUT)
    assert router.wait_logged("g", end) == stream(Kind.OUT, 1, 0, end)
    assert gaps(router, "g") == []


def test_a_ring_that_comes_into_its_place_without_a_sound_is_found(router: Installation) -> None:
    """The writer was between publishing its next generation and renaming it when the lane looked; it says nothing
    after that, and rings no bell."""
    writer = router.session("m", max_bytes=MIB)
    writer.write(1000)
    router.wait_logged("m", 1000)
    path = ring_path(router.ring_dir, "m")
    with router.paused():
        writer.write(500)
        os.link(path, path + ".old")
        assert writer.ring.resize(MIB)
        os.rename(path, path + ".next")
        os.rename(path + ".old", path)
    router.session("other").write(10)
    router.wait_logged("other", 10)
    os.rename(path + ".next", path)
    assert router.wait_logged("m", 1500) == stream(Kind.OUT, 1, 0, 1500)
