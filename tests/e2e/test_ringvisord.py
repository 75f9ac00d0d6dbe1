"""The real ringvisord: it runs what its file says, obeys its clients and signals, and survives its own deaths."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.control.messages import FollowEvents, Happened, Outcome, Reread, Scale, Update, Verb
from tests.support.daemon import PATIENCE_S, RunningDaemon, running_daemon

SESSIONS = """
[session.steady]
command = ["sleep", "1000"]
start_seconds = 0.1

[session.web]
io = "pipe"
instances = 2
command = ["sh", "-c", "echo here; exec sleep 1000"]
start_seconds = 0.1

[session.quiet]
command = ["sleep", "1000"]
autostart = false
start_seconds = 0.1

[session.nowhere]
command = ["/no/such/program"]
restart = { max = 0 }
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path, f"test-{os.getpid()}", SESSIONS) as running:
        yield running


def test_a_fleet_starts_as_its_file_says(daemon: RunningDaemon) -> None:
    assert daemon.wait_state("web-1", "RUNNING").pid > 0
    assert daemon.wait_state("steady", "RUNNING").epoch == 1
    assert daemon.wait_state("nowhere", "FATAL").exit == {
        "reason": "spawn_failed",
        "errno": "ENOENT",
        "message": "No such file or directory: /no/such/program",
    }
    quiet = daemon.session("quiet")
    assert (quiet.state, quiet.pid, quiet.description) == ("STOPPED", 0, "Not started")


def test_start_stop_and_restart_answer_in_supervisords_words(daemon: RunningDaemon) -> None:
    daemon.wait_state("steady", "RUNNING")
    assert _said(daemon.act(Verb.START, "quiet")) == [("quiet", "started", True)]
    assert _said(daemon.act(Verb.START, "quiet")) == [("quiet", "already started", True)]
    assert _said(daemon.act(Verb.STOP, "quiet", "nobody")) == [
        ("nobody", "no such process", False),
        ("quiet", "stopped", True),
    ]
    before = daemon.session("steady").pid
    assert _said(daemon.act(Verb.RESTART, "steady")) == [("steady", "started", True)]
    assert daemon.session("steady").pid != before
    assert _said(daemon.act(Verb.START, "nowhere")) == [("nowhere", "no such file", False)]


def test_a_killed_program_is_started_again_and_the_reason_is_known(daemon: RunningDaemon) -> None:
    daemon.file.write_text(
        daemon.head
        + SESSIONS
        + '[session.again]\ncommand = ["sleep", "1000"]\nrestart = { delay = "0" }\nstart_seconds = 0.1\n'
    )
    daemon.stream(Update(1))
    os.kill(daemon.wait_state("again", "RUNNING").pid, signal.SIGSEGV)
    daemon.wait_state("again", "STARTING")
    found = daemon.wait_state("again", "RUNNING")
    assert (found.epoch, found.restarts) == (2, 1)
    assert found.exit is not None
    assert (found.exit["reason"], found.exit["signal"]) == ("signalled", "SIGSEGV")


def test_a_new_supervisor_finds_everything_as_it_was(daemon: RunningDaemon) -> None:
    """Same programs, same epochs; a session that was stopped stays stopped."""
    daemon.wait_state("web-0", "RUNNING")
    daemon.act(Verb.STOP, "web-1")
    before = {one.name: (one.state, one.pid, one.epoch) for one in daemon.status().sessions if one.name != "nowhere"}
    killed = daemon.status().fleet.processes["supervisor"]
    os.kill(killed, signal.SIGKILL)
    report = daemon.status()
    assert report.fleet.processes["supervisor"] != killed
    assert {one.name: (one.state, one.pid, one.epoch) for one in report.sessions if one.name != "nowhere"} == before


def test_a_stopped_worker_is_told_as_hung_and_the_session_as_degraded(daemon: RunningDaemon) -> None:
    """Until it goes on; the program is none the wiser."""
    before = daemon.wait_state("steady", "RUNNING")
    for number, event, health in (
        (signal.SIGSTOP, "worker_hung", "degraded"),
        (signal.SIGCONT, "worker_goes_on", "none"),
    ):
        with daemon.client() as client:
            events = client.stream(FollowEvents(1), timeout_s=PATIENCE_S)
            daemon.status()
            os.kill(before.worker_pid, number)
            assert next(one for one in events if isinstance(one, Happened) and one.event == event).session == "steady"
        assert daemon.session("steady").health == health
    assert daemon.session("steady").pid == before.pid


def test_an_update_touches_only_what_changed(daemon: RunningDaemon) -> None:
    steady = daemon.wait_state("steady", "RUNNING").pid
    web = daemon.wait_state("web-0", "RUNNING").pid
    changed = SESSIONS.replace('exec sleep 1000"]', 'exec sleep 2000"]').replace(
        '[session.quiet]\ncommand = ["sleep", "1000"]\nautostart = false\nstart_seconds = 0.1\n', ""
    )
    daemon.write(changed + '\n[session.new]\ncommand = ["sleep", "1000"]\nstart_seconds = 0.1\n')
    outcomes = [answer for answer in daemon.stream(Update(1)) if isinstance(answer, Outcome)]
    assert _said(outcomes) == [
        ("quiet", "stopped", True),
        ("quiet", "removed process group", True),
        ("web", "updated process group", True),
        ("new", "added process group", True),
    ]
    daemon.wait_state("new", "RUNNING")
    assert daemon.wait_state("web-0", "RUNNING").pid != web
    assert daemon.session("steady").pid == steady


def test_an_invalid_file_leaves_the_fleet_untouched(daemon: RunningDaemon) -> None:
    steady = daemon.wait_state("steady", "RUNNING").pid
    daemon.write('[session.steady]\ncomand = ["sleep"]\n')
    with pytest.raises(Exception, match="did you mean"):
        daemon.stream(Reread(1))
    daemon.process.send_signal(signal.SIGHUP)
    with pytest.raises(Exception, match="comand"):
        daemon.stream(Update(1))
    assert daemon.session("steady").pid == steady


def test_scale_moves_only_the_difference(daemon: RunningDaemon) -> None:
    web = daemon.wait_state("web-0", "RUNNING").pid
    daemon.stream(Scale(1, "web", 3))
    daemon.wait_state("web-2", "RUNNING")
    assert daemon.session("web-0").pid == web
    daemon.stream(Scale(1, "web", 1))
    assert [one.name for one in daemon.status().sessions if one.group == "web"] == ["web-0"]


def test_a_second_ringvisord_is_refused_and_names_the_first(daemon: RunningDaemon) -> None:
    daemon.wait_state("steady", "RUNNING")
    second = subprocess.run(
        [sys.executable, "-m", "supervisor.main", "-c", str(daemon.file)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert f"with pid {daemon.process.pid}" in second.stderr


def test_sigterm_ends_everything_in_order(daemon: RunningDaemon) -> None:
    pids = [daemon.wait_state(name, "RUNNING").pid for name in ("steady", "web-0", "web-1")]
    assert daemon.stop() == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not os.path.exists(f"/dev/shm/ringvisor-{os.geteuid()}-test-{os.getpid()}")


def test_what_was_stopped_stays_stopped_over_a_new_ringvisord(daemon: RunningDaemon) -> None:
    daemon.wait_state("steady", "RUNNING")
    daemon.act(Verb.STOP, "steady")
    daemon.act(Verb.START, "quiet")
    assert daemon.stop() == 0
    daemon.process = daemon.launch()
    assert daemon.wait_state("quiet", "RUNNING").epoch == 2
    assert daemon.session("steady").state == "STOPPED"


def _said(outcomes: list[Outcome]) -> list[tuple[str, str, bool]]:
    return [(outcome.session, outcome.result, outcome.ok) for outcome in outcomes]
