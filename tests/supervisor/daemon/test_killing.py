"""Trees to be killed: when they are looked for, and how often. The processes are real, and our own children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from supervisor.daemon import killing as module
from supervisor.daemon.killing import Killing
from supervisor.daemon.process_tree import EPOCH_VARIABLE, SESSION_VARIABLE
from supervisor.keeper.loop import Loop

PATIENCE_S = 10.0


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


class Looks:
    """Ourselves in the keeper's place: children of ours that are not told of are orphans."""

    def __init__(self) -> None:
        self.count = 0
        self.others = {int(pid) for pid in _children()}

    def own_pids(self) -> set[int]:
        self.count += 1
        return self.others


def _children() -> list[str]:
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as file:
        return file.read().split()


def orphan(session: str, epoch: int) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, SESSION_VARIABLE: session, EPOCH_VARIABLE: str(epoch)}
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environment)


def run_until(loop: Loop, at_s: float) -> None:
    """The loop's own timers wake it."""
    while time.monotonic() < at_s:
        loop.call_in(max(0.0, at_s - time.monotonic()), int)
        loop.run_once()


def test_what_many_programs_left_behind_is_killed_with_few_looks(loop: Loop) -> None:
    """And only that of the epochs that ended."""
    looks = Looks()
    left, other = orphan("web", 1), orphan("web", 2)
    killing = Killing(loop, os.getpid, looks.own_pids)
    now_s = time.monotonic()
    for number in range(50):
        killing.at(now_s + number / 1000, "web" if number == 25 else f"s{number}", 1, 0)
    run_until(loop, now_s + 0.05 + 2 * module._ORPHANS_EVERY_S)
    assert left.wait(PATIENCE_S) == -signal.SIGKILL
    assert other.poll() is None
    assert 1 <= looks.count <= 3
    other.kill()
    for process in (left, other):
        process.communicate()


def test_what_is_left_goes_before_the_next_epoch_begins(loop: Loop) -> None:
    """However early that is."""
    looks = Looks()
    left = orphan("web", 1)
    killing = Killing(loop, os.getpid, looks.own_pids)
    killing.at(time.monotonic() + 60, "web", 1, 0)
    killing.before_start("other", 2)
    assert left.poll() is None
    killing.before_start("web", 2)
    assert left.wait(PATIENCE_S) == -signal.SIGKILL
    left.communicate()
