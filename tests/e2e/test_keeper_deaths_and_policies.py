"""ringvisord is killed again and again while its sessions crash: each end is acted on once, and no epoch runs twice."""

import os
import random
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.control.messages import Verb
from tests.support.daemon import RunningDaemon, running_daemon

SESSIONS = """
[session.flapping]
command = ["sh", "-c", "echo $RINGVISOR_EPOCH >> {notes}; sleep 0.03; exit 1"]
start_seconds = 0
restart = {{ policy = "always", delay = "0.02", jitter = 0.0, factor = 1.0, max = 1000000, within = "1s" }}

[session.steady]
command = ["sleep", "1000"]
start_seconds = 0
"""
KILLS = 5


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes"
    path.touch()
    return path


@pytest.fixture
def daemon(tmp_path: Path, notes: Path) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path, f"test-flap-{os.getpid()}", SESSIONS.format(notes=notes)) as running:
        running.wait_state("steady", "RUNNING")
        yield running


def test_each_end_leads_to_one_restart_whoever_dies(daemon: RunningDaemon, notes: Path) -> None:
    """The program's own notes: each epoch at most once, in order; a restart for each epoch after the first."""
    steady = daemon.session("steady").pid
    chance = random.Random(os.getpid())
    for _ in range(KILLS):
        select.select([], [], [], chance.uniform(0.05, 0.3))  # in which it crashes and is restarted a few times
        daemon.process.kill()
        daemon.process.wait()
        daemon.process = daemon.launch()
        daemon.wait_state("steady", "RUNNING")
    daemon.act(Verb.STOP, "flapping")
    found = daemon.session("flapping")
    ran = [int(line) for line in notes.read_text().split()]
    assert ran == sorted(set(ran))
    assert ran[-1] in (found.epoch, found.epoch - 1)
    assert found.restarts in (found.epoch, found.epoch - 1)  # one may have been due when it was stopped
    assert len(ran) >= found.epoch - KILLS
    assert daemon.session("steady").pid == steady
