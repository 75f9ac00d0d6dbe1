"""Signals to the main process do what operators expect; as PID 1 of a container, too."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.control.messages import FollowEvents
from tests.support import leaks
from tests.support.changes import wait_until
from tests.support.daemon import PATIENCE_S, RunningDaemon, running_daemon

SESSIONS = """
[session.last]
command = ["sleep", "1000"]
priority = 10
start_seconds = 0.1

[session.ticking]
command = ["sh", "-c", "while echo tick; do sleep 0.05; done"]
start_seconds = 0.1
"""
ORPHANS = """
[session.orphans]
command = ["sh", "-c", "(sleep 0.01 & echo $! > orphan) ; exec sleep 1000"]
cwd = "{here}"
start_seconds = 0.1
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path, f"signals-{os.getpid()}", SESSIONS) as running:
        yield running


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_stops_in_order(daemon: RunningDaemon, signum: signal.Signals) -> None:
    """The one that started first ends last, and the exit code is 0. A second signal changes nothing."""
    pid = daemon.wait_state("last", "RUNNING").pid
    daemon.wait_state("ticking", "RUNNING")
    daemon.process.send_signal(signum)
    daemon.process.send_signal(signum)
    assert daemon.process.wait(PATIENCE_S) == 0
    log = (daemon.directory / "logs" / "ringvisord.log").read_text()
    assert re.findall(r"session=(\w+) state=STOPPED", log) == ["ticking", "last"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_hup_reads_the_file_again(daemon: RunningDaemon) -> None:
    """What runs and is wanted as before runs on."""
    pid = daemon.wait_state("last", "RUNNING").pid
    daemon.write(SESSIONS + '[session.new]\ncommand = ["sleep", "1000"]\nstart_seconds = 0.1\n')
    daemon.process.send_signal(signal.SIGHUP)
    _wait_for_session(daemon, "new")
    assert daemon.session("last").pid == pid


def test_usr2_reopens_logs(daemon: RunningDaemon) -> None:
    """After somebody moved them away: sessions' logs by the signal, ringvisord's own by its next line."""
    daemon.wait_state("ticking", "RUNNING")
    logs = daemon.directory / "logs"
    for name in ("ticking.log", "ringvisord.log"):
        (logs / name).rename(daemon.directory / name)
    daemon.process.send_signal(signal.SIGUSR2)
    wait_until(str(logs), (logs / "ticking.log").exists)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(PATIENCE_S) == 0
    assert "state=STOPPED" in (logs / "ringvisord.log").read_text()


def test_usr1_leaves_everything_that_runs(daemon: RunningDaemon) -> None:
    """ringvisord goes with code 0; programs, workers and router stay, and logs grow."""
    found = daemon.wait_state("ticking", "RUNNING")
    router = daemon.status().fleet.processes["router"]
    supervisor = daemon.status().fleet.processes["supervisor"]
    daemon.process.send_signal(signal.SIGUSR1)
    assert daemon.process.wait(PATIENCE_S) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(supervisor, 0)
    for pid in (found.pid, found.worker_pid, router):
        os.kill(pid, 0)
    log = daemon.directory / "logs" / "ticking.log"
    size = log.stat().st_size
    wait_until(str(log.parent), lambda: log.stat().st_size > size)
    leaks.kill_all(leaks.descendants_of(os.getpid()))


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace of its own")
def test_as_pid_1(tmp_path: Path) -> None:
    """It reaps whatever orphan falls to it, and obeys signals that PID 1 ignores unless it has handlers for them."""
    wrapper = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    with running_daemon(tmp_path, f"pid1-{os.getpid()}", ORPHANS, wrapper=wrapper) as daemon:
        daemon.wait_state("orphans", "RUNNING")
        assert daemon.status().fleet.pid == 1
        (keeper,) = leaks.children_of(daemon.process.pid)
        inside = ("nsenter", f"--target={keeper}", "--pid", "--mount")
        states = subprocess.run([*inside, "ps", "-eo", "stat="], capture_output=True, text=True, check=True).stdout
        assert "Z" not in states
        os.kill(keeper, signal.SIGTERM)
        assert daemon.process.wait(PATIENCE_S) == 0


def _wait_for_session(daemon: RunningDaemon, name: str) -> None:
    with daemon.client() as client:
        events = client.stream(FollowEvents(1, last=1000), timeout_s=PATIENCE_S)
        while not any(one.name == name and one.state == "RUNNING" for one in daemon.status().sessions):
            next(events)
