"""Rings that cannot be read: one is set aside, the others run on, and a router that dies of one is followed by one that
leaves it alone."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc import board as on
from ipc import ring_layout as at
from ipc.frames import Kind
from ipc.log_verify import verify_log
from ipc.ring_dir import open_board, open_reader_bell
from ipc.ring_file import open_ring, ring_path
from ipc.router_messages import Failed, Serve
from tests.support.router_process import PATIENCE_S, Installation, installation, stream

SECOND_NS = 10**9


@pytest.fixture
def router(shm_dir: str, tmp_path: Path) -> Iterator[Installation]:
    with installation(shm_dir, str(tmp_path)) as running:
        running.start()
        yield running


def until_aside(router: Installation, session: str) -> str:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        for status in router.status().set_aside:
            if status.session == session:
                return str(status.reason)
    raise AssertionError(f"{session} is served")


def wake(router: Installation, session: str) -> None:
    """As its worker would after a commit."""
    board = open_board(router.ring_dir)
    board[on.mirror_word(router.slot(session))] += 1
    for number in (on.LIVE_BELL, on.FIRST_LOG_BELL):
        bell = open_reader_bell(router.ring_dir, number)
        bell.ring()
        bell.close()


def assert_others_run(router: Installation) -> None:
    name = f"other{time.monotonic_ns()}"
    router.session(name).write(1000)
    assert router.wait_logged(name, 1000) == stream(Kind.OUT, 1, 0, 1000)


@pytest.mark.parametrize("word", [at.W_MAGIC, at.W_VERSION, at.W_DATA_BYTES, at.W_SLOTS, at.W_COMMIT, at.W_OLDEST])
def test_a_ring_whose_header_makes_no_sense_is_set_aside(router: Installation, word: int) -> None:
    router.create("bad")
    open_ring(router.ring_dir, "bad").q[word] = 2**63 + 1
    answer = router.order(Serve(1, "bad"))
    assert isinstance(answer, Failed)
    assert "set aside" in answer.reason
    assert until_aside(router, "bad")
    assert_others_run(router)
    router.kill()
    router.start()
    assert until_aside(router, "bad")
    router.order(Serve(2, "bad"))  # answered by the same thread, so behind its report of the first look
    assert "session bad is set aside: " in router.reports()


@pytest.mark.parametrize("value", [0, 2**63, 2**64 - 1])
@pytest.mark.parametrize("field", range(8))
def test_a_descriptor_that_makes_no_sense_costs_nobody_else(router: Installation, field: int, value: int) -> None:
    """Whichever word of it is damaged: position, time, seq, offset, length and kind, run, other offset."""
    writer = router.session("bad")
    writer.write(5000)
    router.wait_logged("bad", 5000)
    with router.paused():
        for _ in range(5):
            writer.write(100)
        ring = open_ring(router.ring_dir, "bad")
        frame = ring.q[at.W_COMMIT] - 1
        ring.q[at.HEADER_BYTES // 8 + (frame & (ring.slots - 1)) * 8 + field] = value
    assert_others_run(router)
    subscriber = router.subscribe("bad")
    assert subscriber.subscribed or subscriber.goodbye
    assert_others_run(router)


def truncated(router: Installation, session: str, size: int) -> bytes:
    """Cut the ring's file under everybody who has it mapped; returns what it held."""
    path = ring_path(router.ring_dir, session)
    whole = Path(path).read_bytes()
    os.truncate(path, size)
    return whole


def restore(router: Installation, session: str, whole: bytes) -> None:
    with open(ring_path(router.ring_dir, session), "r+b") as file:
        file.write(whole)


def die_of(router: Installation, session: str) -> None:
    """The ring loses its pages while the router sleeps; it is told of a frame that it cannot read. Then all is whole
    again, as it was."""
    router.status()
    whole = truncated(router, session, at.HEADER_BYTES)
    ring_header = os.open(ring_path(router.ring_dir, session), os.O_RDWR)
    commit = int.from_bytes(whole[at.W_COMMIT * 8 : at.W_COMMIT * 8 + 8], "little")
    os.pwrite(ring_header, (commit + 1).to_bytes(8, "little"), at.W_COMMIT * 8)
    wake(router, session)
    status = router.wait()
    os.close(ring_header)
    restore(router, session, whole)
    assert os.WTERMSIG(status) == signal.SIGBUS


def test_three_deaths_within_a_minute_and_the_next_router_leaves_that_ring_alone(router: Installation) -> None:
    """The others are served all the time; once its time is over it is served again, and its loss is a stated gap."""
    poison, busy = router.session("poison", max_bytes=65536, policy=at.Policy.DROP_OLDEST), router.session("busy")
    poison.write(1000)
    router.wait_logged("poison", 1000)
    for _ in range(3):
        die_of(router, "poison")
        router.start(fell=True)
        assert_others_run(router)
    assert "Bus error" in router.reports()
    assert until_aside(router, "poison") == "three routers died of it within a minute"
    assert router.subscribe("poison").goodbye
    poison.write(500_000)
    busy.write(1000)
    router.wait_logged("busy", 1000)
    assert verify_log(router.log_dir, "poison.log").count == 1000
    router.kill()
    end_quarantine(router, "poison")
    router.start()
    poison.write(10)
    router.wait_in(router.log_dir, lambda: verify_log(router.log_dir, "poison.log").epochs[-1].end == 501_010)
    report = verify_log(router.log_dir, "poison.log")
    assert report.problems == []
    assert report.count + sum(gap.end - gap.start for gap in report.gaps) == 501_010


def end_quarantine(router: Installation, session: str) -> None:
    """A minute later."""
    word = on.aside_word(router.slot(session))
    board = open_board(router.ring_dir)
    assert board[word] > time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 30 * SECOND_NS
    board[word] = 1


def test_a_quarantine_that_ends_while_the_router_runs_needs_no_new_one(router: Installation) -> None:
    writer = router.session("q")
    router.kill()
    board = open_board(router.ring_dir)
    board[on.aside_word(router.slot("q"))] = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + SECOND_NS
    router.start()
    writer.write(1000)
    until_aside(router, "q")
    assert router.wait_logged("q", 1000) == stream(Kind.OUT, 1, 0, 1000)
    assert router.status().set_aside_count == 0


def test_a_session_served_by_another_thread_is_not_blamed(router: Installation) -> None:
    """The live thread dies of a follower while a lane is at work: only the one that fell counts."""
    router.session("poison")
    subscriber = router.subscribe("poison")
    subscriber.until(lambda: subscriber.live)
    innocent = router.slot("poison") + 1
    router.session("innocent")
    board = open_board(router.ring_dir)
    router.status()
    board[on.serving_word(on.FIRST_LOG_BELL + 1)] = innocent + 1  # as if another lane were in a long write
    die_of(router, "poison")
    router.start(fell=True)
    router.status()
    assert not any(board[on.death_word(innocent, index)] for index in range(on.DEATHS_KEPT))
    assert any(board[on.death_word(router.slot("poison"), index)] for index in range(on.DEATHS_KEPT))


def test_somebody_elses_sigkill_never_counts(router: Installation) -> None:
    """However often, and whatever the router was doing."""
    router.session("s")
    board = open_board(router.ring_dir)
    for _ in range(5):
        board[on.serving_word(on.FIRST_LOG_BELL)] = router.slot("s") + 1
        router.kill()
        router.start()
        router.status()
    assert router.status().set_aside_count == 0
    assert not any(board[on.death_word(router.slot("s"), index)] for index in range(on.DEATHS_KEPT))


def test_data_pages_that_are_gone_set_the_session_aside(router: Installation) -> None:
    """`writev` from a mapping without its file says EFAULT: that is the ring's fault, and not a failing log."""
    writer = router.session("cut")
    writer.write(10)
    router.wait_logged("cut", 10)
    with router.paused():
        writer.write(20_000)
        ring = open_ring(router.ring_dir, "cut")
        truncated(router, "cut", ring.data_start)
    assert "shorter than it was" in until_aside(router, "cut")
    assert "session cut is set aside for a minute" in router.reports()
    assert_others_run(router)


def test_a_session_without_a_ring_is_refused_and_served_once_it_has_one(router: Installation) -> None:
    router.create("r")
    whole = Path(ring_path(router.ring_dir, "r"))
    away = whole.with_suffix(".away")
    whole.rename(away)
    assert isinstance(router.order(Serve(1, "r")), Failed)
    away.rename(whole)
    writer = router.session("r")
    writer.write(100)
    assert router.wait_logged("r", 100) == stream(Kind.OUT, 1, 0, 100)
