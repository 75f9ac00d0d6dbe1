"""Keeper, workers and router as they ship: what programs write is what stands in the logs, whoever is killed."""

import contextlib
import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from childproc.spec import Io
from ipc.log_verify import verify_log
from supervisor.keeper.messages import Exited
from tests.support.fleet import RunningFleet, running_fleet
from tests.support.keeper import program, shell

COUNTING = "import sys\nfor i in range({lines}): sys.stdout.write(f'{{i:09d}} ' + 'x' * 69 + '\\n')"


@pytest.fixture
def fleet(shm_dir: str, tmp_path: Path) -> Iterator[RunningFleet]:
    with running_fleet(shm_dir, str(tmp_path)) as running:
        yield running


def counting(lines: int) -> list[str]:
    return [sys.executable, "-S", "-c", COUNTING.format(lines=lines)]


def counted(lines: int, end: str = "\r\n") -> bytes:
    return "".join(f"{i:09d} " + "x" * 69 + end for i in range(lines)).encode()


def test_a_terminal_session_is_logged_to_the_last_byte(fleet: RunningFleet) -> None:
    fleet.start("a", program(*counting(20_000)))
    assert fleet.wait_end("a").status == Exited(0)
    expected = counted(20_000)
    assert fleet.wait_logged("a", len(expected)) == expected


def test_pipes_are_logged_apart(fleet: RunningFleet) -> None:
    fleet.start("p", shell("echo out; echo err >&2; exit 3", io=Io.PIPE))
    assert fleet.wait_end("p").status == Exited(3)
    assert fleet.wait_logged("p", 4) == b"out\n"
    assert fleet.wait_logged("p", 4, "err.log") == b"err\n"


def test_epochs_follow_each_other_in_one_log(fleet: RunningFleet) -> None:
    for number in range(5):
        fleet.start("e", shell(f"echo run {number}"))
        fleet.wait_end("e")
    expected = b"".join(b"run %d\r\n" % number for number in range(5))
    assert fleet.wait_logged("e", len(expected)) == expected
    report = verify_log(fleet.log_dir, "e.log")
    assert report.ok
    assert [epoch.epoch for epoch in report.epochs] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("victim", ["worker", "router", "supervisor", "all"])
def test_killing_ours_loses_nothing(fleet: RunningFleet, victim: str) -> None:
    """The program notices nothing, its exit status stays known, and its log is byte-exact."""
    lines = 150_000
    fleet.start("k", program(*counting(lines)))
    expected = counted(lines)
    for part in range(1, 6):
        fleet.wait_logged("k", len(expected) * part // 8)
        victims = []
        if victim in {"worker", "all"}:
            victims.append(fleet.worker_pid("k"))
        if victim in {"router", "all"}:
            victims.append(fleet.service_pid("router"))
        if victim in {"supervisor", "all"}:
            victims.append(fleet.supervisor.pid)
        for pid in filter(None, victims):
            with contextlib.suppress(ProcessLookupError):  # in the table still, though dead of the last kill
                os.kill(pid, signal.SIGKILL)
        if victim in {"supervisor", "all"}:
            fleet.replace_supervisor()
            fleet.supervisor.hello()
    assert fleet.wait_end("k").status == Exited(0)
    found = fleet.wait_logged("k", len(expected))
    assert hashlib.sha256(found).digest() == hashlib.sha256(expected).digest()
    assert verify_log(fleet.log_dir, "k.log").ok
