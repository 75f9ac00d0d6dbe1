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
