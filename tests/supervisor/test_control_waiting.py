"""Waiting for a descriptor: signals are heard, also one that came a moment too early to interrupt anything."""

import os
import signal
from collections.abc import Iterator

import pytest

from supervisor.control.waiting import heeding_signals, wait_for_input


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reads, writes = os.pipe()
    yield reads, writes
    os.close(reads)
    os.close(writes)


def test_ctrl_c_is_heard_while_nothing_comes(pipe: tuple[int, int]) -> None:
    """Although it came, and its handler ran, before the wait began: it is noted in the wakeup fd."""
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        with heeding_signals():
            os.kill(os.getpid(), signal.SIGINT)
            assert wait_for_input(pipe[0], 20)
            assert heard == [1]
            assert not wait_for_input(pipe[0], 0.001), "it is heard once"
    finally:
        signal.signal(signal.SIGINT, before)


def test_input_and_a_deadline_end_it_too(pipe: tuple[int, int]) -> None:
    with heeding_signals(), heeding_signals():
        assert not wait_for_input(pipe[0], 0.001)
        os.write(pipe[1], b"x")
        assert wait_for_input(pipe[0])


def test_it_can_be_waited_without(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"x")
    assert wait_for_input(pipe[0])
