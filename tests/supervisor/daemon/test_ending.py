"""The end of a fleet, with the real ringvisord: rank by rank, and nothing is started any more."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.control.client import NobodyAnswersError, RequestFailedError
from supervisor.control.messages import Act, Answer, FollowEvents, Happened, Verb
from tests.support.changes import wait_until
from tests.support.daemon import PATIENCE_S, RunningDaemon, running_daemon

SESSIONS = """
[session.first]
command = ["sleep", "1000"]
priority = 1
start_seconds = 0

[session.waits]
command = ["/no/such/program"]
priority = 2
restart = { delay = "1h", max_delay = "1h", reset_after = "2h" }

[session.last]
command = ["sh", "-c", "trap 'read line < again; exit 0' TERM; echo ready; while :; do sleep 1000 & wait; done"]
priority = 3
start_seconds = 0
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    os.mkfifo(tmp_path / "again")
    text = SESSIONS.replace("again", str(tmp_path / "again"))
    with running_daemon(tmp_path, f"test-{os.getpid()}", text) as running:
        yield running


def until(events: Iterator[Answer], session: str, state: str) -> list[tuple[str, str]]:
    seen = []
    for event in events:
        if isinstance(event, Happened) and event.event == "state":
            seen.append((event.session, event.state))
            if seen[-1] == (session, state):
                break
    return seen


def test_who_started_first_is_stopped_last_and_nothing_is_started_meanwhile(daemon: RunningDaemon) -> None:
    """One that only waits for its restart holds nobody up."""
    daemon.wait_state("first", "RUNNING")
    daemon.wait_state("waits", "BACKOFF")
    log = daemon.directory / "logs" / "last.log"
    wait_until(str(log.parent), lambda: log.exists() and b"ready" in log.read_bytes())
    with daemon.client() as follower, daemon.client() as client:
        events = follower.stream(FollowEvents(1), timeout_s=PATIENCE_S)
        daemon.process.send_signal(signal.SIGTERM)
        assert until(events, "last", "STOPPING") == [("last", "STOPPING")]
        with pytest.raises(RequestFailedError, match="already shutting down"):
            client.ask(Act(1, Verb.START, ["waits"]), timeout_s=PATIENCE_S)
        (daemon.directory / "again").write_text("\n")
        assert until(events, "last", "STOPPED")[-1] == ("last", "STOPPED")
        assert ("first", "STOPPING") in until(events, "first", "STOPPING")
        with pytest.raises(NobodyAnswersError):
            until(events, "nobody", "NEVER")
    assert daemon.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("end", "code"),
    [("exit 7", 7), ("exit 0", 0), ("kill -KILL $$", 128 + signal.SIGKILL)],
    ids=["code", "done", "killed"],
)
def test_a_fleet_ends_with_its_essential_session_and_its_exit_code(tmp_path: Path, end: str, code: int) -> None:
    """Even where its supervisor is killed meanwhile; everybody else is stopped in order."""
    sessions = f"""
[session.bystander]
command = ["sleep", "1000"]

[session.heart]
command = ["sh", "-c", "read line < {tmp_path}/go; {end}"]
restart = "never"
essential = true
"""
    os.mkfifo(tmp_path / "go")
    with running_daemon(tmp_path, f"test-{os.getpid()}", sessions) as daemon:
        daemon.wait_state("heart", "RUNNING")
        os.kill(daemon.status().fleet.processes["supervisor"], signal.SIGKILL)
        (tmp_path / "go").write_text("\n")
        assert daemon.process.wait(PATIENCE_S) == code
        assert "heart is essential and has ended: the fleet ends with it" in daemon.output()


def test_an_essential_session_may_be_stopped(tmp_path: Path) -> None:
    sessions = '[session.heart]\ncommand = ["sleep", "1000"]\nessential = true\nstart_seconds = 0\n'
    with running_daemon(tmp_path, f"test-{os.getpid()}", sessions) as daemon:
        daemon.act(Verb.STOP, "heart")
        assert daemon.wait_state("heart", "STOPPED")
        daemon.act(Verb.START, "heart")
        assert daemon.wait_state("heart", "RUNNING")
