"""Logs that fail or hang: states of one session that heal, never a crash, and nobody else's business."""

import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.archivist import Archivist
from ipc.frames import Kind
from ipc.lane_sessions import LaneSessions, moment
from ipc.log_verify import verify_log
from ipc.ring_dir import open_board
from ipc.ring_layout import Policy
from ipc.router_messages import AskStatus, Done, Drop, LogOrder, Serve, decode_from_router, encode
from ipc.sink_spec import read_sink
from tests.support.disks import FreezableDisk, cpu_seconds, freezable_disk, tmpfs
from tests.support.router_process import PATIENCE_S, Installation, Writer, installation, stream

MIB = 1 << 20


@pytest.fixture
def router(shm_dir: str, tmp_path: Path) -> Iterator[Installation]:
    logs = tmp_path / "logs"
    logs.mkdir()
    with installation(shm_dir, str(logs)) as running:
        running.start()
        yield running


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with tmpfs(tmp_path / "small", 1 * MIB) as path:
        yield path


@pytest.fixture
def disk(tmp_path: Path, router: Installation) -> Iterator[FreezableDisk]:
    """Thawed before the router is ended, which would not end."""
    with freezable_disk(tmp_path / "disk") as disk:
        yield disk


def fill_up(directory: Path) -> Path:
    filler = directory / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return filler
    raise AssertionError


def on(router: Installation, name: str, directory: Path, **more: Any) -> Writer:
    return router.session(name, log=router.log(name, str(directory)), **more)


def until_failing(router: Installation, session: str) -> str:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        for status in router.status().failing:
            if status.session == session:
                return str(status.reason)
    raise AssertionError(f"{session} does not fail")


def watch(seconds: float) -> None:
    """An idle process shows only in time."""
    select.select([], [], [], seconds)


def test_a_full_disk_holds_its_own_session_and_heals(small: Path, router: Installation) -> None:
    """The program waits, others run on, the router sleeps; once there is room nothing is missing."""
    held, other = on(router, "held", small, max_bytes=65536), router.session("other")
    held.write(10_000)
    router.wait_logged("held", 10_000, directory=str(small))
    filler = fill_up(small)
    held.fill()
    assert "the disk is full" in until_failing(router, "held")
    assert held.ring.prepare_wait()
    other.write(200_000)
    router.wait_logged("other", 200_000)
    before_s = cpu_seconds(router.pid)
    watch(1.0)
    assert cpu_seconds(router.pid) - before_s < 0.1
    filler.unlink()
    end = held.offset(Kind.OUT)
    assert router.wait_logged("held", end, directory=str(small)) == stream(Kind.OUT, 1, 0, end)
    assert select.select([held.bell], [], [], 20)[0]
    report = verify_log(small, "held.log")
    assert (report.gaps, report.problems) == ([], [])
    while router.status().failing_count:
        pass


def test_a_pipe_session_with_one_failing_log_does_not_spin(small: Path, router: Installation) -> None:
    """The other stream's log works, and has a deadline of its own that is no reason to try again."""
    writer = on(router, "p", small)
    writer.write(100, Kind.ERR)
    router.wait_logged("p", 100, "err.log", directory=str(small))
    filler = fill_up(small)
    writer.write(20, Kind.ERR)
    writer.write(60_000)
    until_failing(router, "p")
    before_s = cpu_seconds(router.pid)
    watch(2.0)
    assert cpu_seconds(router.pid) - before_s < 0.1
    filler.unlink()
    router.wait_logged("p", 60_000, directory=str(small))


def test_a_failed_log_is_tried_again_when_it_may_have_healed(small: Path, router: Installation) -> None:
    """Not when the session's other log, which works, wants to be ticked."""
    router.kill()
    router.create("p", log=router.log("p", str(small)))
    writer = router.writer("p")
    writer.begin(1)
    writer.write(10, Kind.ERR)
    archivist = Archivist(router.ring_dir, print)
    sessions = LaneSessions(router.ring_dir, open_board(router.ring_dir), 1, archivist, print)
    assert sessions.serve(read_sink(router.ring_dir, "p")) is None
    now = moment()
    sessions.round(now)
    fill_up(small)
    writer.write(60_000)
    later = now._replace(mono_ns=now.mono_ns + 3 * 10**9)  # the tick of the log that works is overdue
    sessions.round(later)
    assert sessions._held_ns[router.slot("p")] > later.mono_ns
    sessions.close()
    archivist.stop()
    assert archivist.join(PATIENCE_S)


def test_what_a_ring_lost_while_the_disk_was_full_is_stated(small: Path, router: Installation) -> None:
    writer = on(router, "lossy", small, policy=Policy.DROP_OLDEST, max_bytes=65536)
    writer.write(1000)
    router.wait_logged("lossy", 1000, directory=str(small))
    filler = fill_up(small)
    writer.write(60_000)
    until_failing(router, "lossy")
    writer.write(500_000)
    filler.unlink()
    end = writer.offset(Kind.OUT)
    router.wait_in(str(small), lambda: bool((e := verify_log(small, "lossy.log").epochs) and e[-1].end == end))
    report = verify_log(small, "lossy.log")
    assert report.problems == []
    lost = sum(gap.end - gap.start for gap in report.gaps)
    assert lost > 300_000
    assert report.count + lost == end
    last = max(gap.end for gap in report.gaps)
    assert (small / "lossy.log").read_bytes().endswith(stream(Kind.OUT, 1, last, end))


def test_a_directory_that_vanished_is_written_to_again_when_it_is_back(router: Installation, tmp_path: Path) -> None:
    directory = tmp_path / "going"
    directory.mkdir()
    writer = on(router, "v", directory)
    writer.write(5000)
    router.wait_logged("v", 5000, directory=str(directory))
    shutil.rmtree(directory)
    writer.write(1000)
    assert "the log directory is gone" in until_failing(router, "v")
    directory.mkdir()
    assert router.wait_logged("v", 1000, directory=str(directory)) == stream(Kind.OUT, 1, 5000, 6000)


def test_a_directory_that_is_not_there_yet_is_waited_for(router: Installation, tmp_path: Path) -> None:
    directory = tmp_path / "later" / "still"
    writer = on(router, "l", directory)
    writer.write(1000)
    assert "gone" in until_failing(router, "l")
    directory.mkdir(parents=True)
    assert router.wait_logged("l", 1000, directory=str(directory)) == stream(Kind.OUT, 1, 0, 1000)


# --- a disk that hangs ---


def ask(router: Installation, order: Any) -> socket.socket:
    """The answer is read by whoever wants it."""
    connection = router.connect()
    connection.send(encode(order))
    return connection


def answer(connection: socket.socket) -> Any:
    return decode_from_router(connection.recv(1 << 17))


def hang(router: Installation, disk: FreezableDisk, writer: Writer) -> None:
    """The lane of that disk is in a write that does not return."""
    disk.freeze()
    writer.write(1000)
    assert "has not answered" in until_failing(router, "stuck")


def test_a_disk_that_hangs_stalls_neither_subscribers_nor_other_logs(disk: FreezableDisk, router: Installation) -> None:
    stuck, other = on(router, "stuck", disk.path), router.session("other")
    hang(router, disk, stuck)
    subscriber = router.subscribe("stuck")
    stuck.write(10_000)
    subscriber.until(lambda: subscriber.at(1, 11_000))
    other.write(100_000)
    router.wait_logged("other", 100_000)
    assert router.log_order("rotate", ["other"]) == Done(7)
    disk.thaw()
    assert router.wait_logged("stuck", 11_000, directory=str(disk.path)) == stream(Kind.OUT, 1, 0, 11_000)


def test_orders_to_a_hanging_log_are_answered_when_it_goes_on(disk: FreezableDisk, router: Installation) -> None:
    stuck = on(router, "stuck", disk.path)
    router.session("other").write(10)
    hang(router, disk, stuck)
    waiting = ask(router, LogOrder(1, "rotate", ["stuck"]))
    assert router.status().lanes == 2
    assert not select.select([waiting], [], [], 0)[0]
    disk.thaw()
    assert answer(waiting) == Done(1)
    assert (disk.path / "stuck.log.000001").exists()


def test_a_session_leaves_a_hanging_disk_only_once_that_lets_go(disk: FreezableDisk, router: Installation) -> None:
    """Two threads with one cursor would write bytes twice: the move waits, and then each byte is in one log."""
    stuck = on(router, "stuck", disk.path)
    hang(router, disk, stuck)
    router.change("stuck", router.log("stuck"))
    moving = ask(router, Serve(1, "stuck"))
    again = ask(router, Serve(2, "stuck"))
    stuck.write(500)
    assert answer(moving) == Done(1)  # it was overtaken
    assert not select.select([again], [], [], 0)[0]
    disk.thaw()
    assert answer(again) == Done(2)
    left = (disk.path / "stuck.log").read_bytes()
    moved = router.wait_logged("stuck", 1500 - len(left))
    assert left + moved == stream(Kind.OUT, 1, 0, 1500)


def test_a_session_dropped_while_its_disk_hangs_is_gone_for_everybody_else(
    disk: FreezableDisk, router: Installation
) -> None:
    stuck = on(router, "stuck", disk.path)
    hang(router, disk, stuck)
    dropping = ask(router, Drop(1, "stuck"))
    router.session("other").write(100)
    router.wait_logged("other", 100)
    disk.thaw()
    assert answer(dropping) == Done(1)
    assert (disk.path / "stuck.log").read_bytes() == stream(Kind.OUT, 1, 0, 1000)


@pytest.mark.slow
def test_sigterm_does_not_wait_for_a_hanging_disk(disk: FreezableDisk, router: Installation) -> None:
    """It says which log hangs, closes the others in order and goes; the next router has every byte."""
    stuck, other = on(router, "stuck", disk.path), router.session("other")
    hang(router, disk, stuck)
    other.write(30_000)
    with ask(router, AskStatus(1)) as connection:
        answer(connection)
        os.kill(router.pid, signal.SIGTERM)
        assert answer(connection).reason == "the router is going down"
    router.wait_in(router.runtime_dir, lambda: "did not end in time (stuck)" in router.reports())
    disk.thaw()
    assert router.wait() == 0
    assert verify_log(router.log_dir, "other.log").unchecked_bytes == 0
    stuck.write(100)
    router.start()
    assert router.wait_logged("stuck", 1100, directory=str(disk.path)) == stream(Kind.OUT, 1, 0, 1100)
