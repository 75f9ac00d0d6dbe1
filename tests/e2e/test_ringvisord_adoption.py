"""The real ringvisord is killed, and started again: the fleet goes on as if nothing had been."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator
from supervisor.cli.places import Wanted
from supervisor.cli.verdicts import verdict_on
from supervisor.control.client import NoGreetingError
from supervisor.control.messages import Update, Verb
from supervisor.keeper.table import SessionRecord
from tests.support import leaks
from tests.support.changes import wait_until
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

[session.nowhere]
command = ["/no/such/program"]
restart = { max = 0 }

[session.once]
command = ["sh", "-c", "read line; exit $line"]
start_seconds = 0
restart = { delay = "0", jitter = 0.0 }

[session.leaver]
command = ["sh", "-c", "setsid sleep 1000 & read line; exit 0"]
start_seconds = 0
restart = "never"
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path, f"test-adopt-{os.getpid()}", SESSIONS) as running:
        for name in ("steady", "web-0", "web-1", "once", "leaver"):
            running.wait_state(name, "RUNNING")
        running.wait_state("nowhere", "FATAL")
        yield running


def kill(daemon: RunningDaemon) -> None:
    daemon.process.kill()
    daemon.process.wait()


def facts(daemon: RunningDaemon) -> dict[str, tuple[object, ...]]:
    return {
        one.name: (one.state, one.desired, one.pid, one.worker_pid, one.epoch, one.restarts, one.exit)
        for one in daemon.status().sessions
    }


def launch_and_wait(daemon: RunningDaemon) -> None:
    """Until it answers."""
    daemon.process = daemon.launch()
    daemon.wait_state("steady", "RUNNING")


def ringctl(daemon: RunningDaemon, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "supervisor.cli.main", "-c", str(daemon.file), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGUSR1])
def test_killed_or_left_a_fleet_goes_on_as_it_was(daemon: RunningDaemon, how: signal.Signals) -> None:
    """States, pids, epochs, reasons; what was stopped stays stopped; and it can be operated."""
    daemon.act(Verb.STOP, "web-1")
    before = facts(daemon)
    daemon.process.send_signal(how)
    daemon.process.wait(PATIENCE_S)
    launch_and_wait(daemon)
    assert facts(daemon) == before
    daemon.act(Verb.RESTART, "steady")
    assert daemon.session("steady").epoch == 2
    daemon.act(Verb.START, "web-1")
    assert daemon.wait_state("web-1", "RUNNING").epoch == 2


def test_headless_ringctl_says_that_nobody_answers_and_what_runs_on(daemon: RunningDaemon) -> None:
    """Exit 7; a fleet of which something lives is not one that has ended."""
    kill(daemon)
    said = ringctl(daemon, "status")
    assert said.returncode == Exit.NO_ANSWER
    assert "5 sessions run on without it" in said.stderr
    assert "5 run on" in ringctl(daemon, "fleets").stdout


def test_what_was_in_force_goes_on_whatever_stands_in_the_file(daemon: RunningDaemon) -> None:
    """An edit waits for `update`, and is said to; a broken file keeps nobody from what runs."""
    before = facts(daemon)
    kill(daemon)
    daemon.write(SESSIONS.replace("exec sleep 1000", "exec sleep 2000"))
    launch_and_wait(daemon)
    assert facts(daemon) == before
    assert "edited since: ringctl update applies it" in daemon.output()
    kill(daemon)
    daemon.write(SESSIONS.replace("exec sleep 1000", "exec sleep 2000").replace("command", "comand"))
    launch_and_wait(daemon)
    assert facts(daemon) == before
    daemon.write(SESSIONS.replace("exec sleep 1000", "exec sleep 2000"))
    daemon.stream(Update(1))
    assert daemon.wait_state("web-0", "RUNNING").epoch == 2
    assert daemon.session("steady").pid == before["steady"][2]


def test_a_supervisor_that_is_stopped_is_said_to_be(daemon: RunningDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections wait in the keeper's socket: nobody answers, and the fleet runs on."""
    monkeypatch.setattr("supervisor.control.client._CONNECT_MAX_S", 0.2)
    supervisor = daemon.status().fleet.processes["supervisor"]
    os.kill(supervisor, signal.SIGSTOP)
    with pytest.raises(NoGreetingError) as said:
        Operator(Wanted(config=str(daemon.file))).status()
    os.kill(supervisor, signal.SIGCONT)
    assert verdict_on(said.value).code == Exit.NO_ANSWER
    assert f"ringvisord is there with pid {daemon.process.pid}" in str(said.value)
    assert "5 sessions run on" in str(said.value)


def test_what_a_program_leaves_behind_is_found_below_whoever_adopted_it(daemon: RunningDaemon) -> None:
    """Its orphans are no children of the new keeper, nor was it."""
    kill(daemon)
    launch_and_wait(daemon)
    leader = daemon.session("leaver").pid
    (left,) = leaks.children_of(leader)
    pidfd = os.pidfd_open(left)
    assert ringctl(daemon, "send", "leaver", "go").returncode == 0
    assert select.select([pidfd], [], [], PATIENCE_S)[0]
    os.close(pidfd)


def test_an_end_that_nobody_saw_is_known_and_acted_on_once(daemon: RunningDaemon) -> None:
    """The worker's last word tells the code; the restart policy then does what it would have done."""
    kill(daemon)
    assert ringctl(daemon, "send", "once", "3").returncode == 0
    wait_until(f"{daemon.runtime_dir}/w", lambda: os.path.exists(f"{daemon.runtime_dir}/w/once.left"))
    launch_and_wait(daemon)
    found = daemon.wait_state("once", "RUNNING")
    assert (found.epoch, found.restarts, found.exit) == (2, 1, {"reason": "exited", "code": 3})


def test_of_two_at_once_one_takes_over_and_the_other_names_it(daemon: RunningDaemon) -> None:
    """Sessions are no holder of the lock, though their keeper was."""
    before = facts(daemon)
    kill(daemon)
    one, other = daemon.launch(), daemon.launch()
    ends = {os.pidfd_open(process.pid): process for process in (one, other)}
    ended = select.select(list(ends), [], [], PATIENCE_S)[0]
    loser = ends[ended[0]]
    daemon.process = winner = other if loser is one else one
    for pidfd in ends:
        os.close(pidfd)
    assert loser.wait() == 1
    daemon.wait_state("steady", "RUNNING")
    assert facts(daemon) == before
    assert f"already, with pid {winner.pid}" in daemon.output()


def test_what_another_boot_left_is_swept(daemon: RunningDaemon) -> None:
    """Its pids are anybody's by now: nobody is touched, and the fleet begins anew."""
    before = facts(daemon)
    kill(daemon)
    for one in before.values():
        if one[2]:
            os.kill(int(str(one[2])), signal.SIGKILL)
            os.kill(int(str(one[3])), signal.SIGKILL)
    router = json.loads(Path(daemon.runtime_dir, "keeper.json").read_text())["services"]["router"]["pid"]
    os.kill(router, signal.SIGKILL)
    bystander = subprocess.Popen(["sleep", "1000"])
    for path in Path(daemon.runtime_dir, "records").iterdir():
        record = msgspec.msgpack.decode(path.read_bytes(), type=SessionRecord)
        if record.session.run:
            record.session.run.pid = bystander.pid
        path.write_bytes(msgspec.msgpack.encode(msgspec.structs.replace(record, boot_id="another")))
    launch_and_wait(daemon)
    assert daemon.session("steady").epoch == 2
    assert daemon.session("steady").pid not in (before["steady"][2], bystander.pid)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_fleet_of_which_nothing_lives_begins_again_with_what_was_wanted(daemon: RunningDaemon) -> None:
    """Its ends are unknown, and said so; each session is started again as its policy wants it."""
    before = facts(daemon)
    left = leaks.descendants_of(daemon.process.pid)
    kill(daemon)
    leaks.kill_all([int(str(one[3])) for one in before.values() if one[3]])  # a worker would leave word
    leaks.kill_all(left)
    leaks.reap_orphans()
    launch_and_wait(daemon)
    while (found := daemon.wait_state("steady", "RUNNING")).epoch == 1:
        pass  # the report of its end comes behind the table
    assert (found.epoch, found.exit) == (2, {"reason": "unknown"})
    assert daemon.session("nowhere").state == before["nowhere"][0]
