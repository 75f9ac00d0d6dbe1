"""ringctl run: sessions from the command line, in the real fleet. They are lost neither with a supervisor nor, if kept,
with ringvisord; and a name that comes again goes on in its log."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.control.messages import AddGroup, AwaitEnd, Ended, RemoveGroup, Update, Verb
from tests.support.daemon import PATIENCE_S, RunningDaemon, running_daemon

SESSIONS = """
[defaults]
tags = ["of-the-fleet"]
start_seconds = 0.1

[session.steady]
command = ["sleep", "1000"]

[session.once]
command = ["sh", "-c", "echo epoch $RINGVISOR_EPOCH"]
restart = "never"
"""
FOREVER = ("--", "sleep", "1000")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path, f"test-{os.getpid()}", SESSIONS) as running:
        yield running


def ringctl(daemon: RunningDaemon, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "supervisor.cli.main", "-s", f"{daemon.runtime_dir}/control.sock", *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, stdin=subprocess.DEVNULL
    )


def names(daemon: RunningDaemon) -> set[str]:
    return {one.name for one in daemon.status().sessions}


def kill_supervisor(daemon: RunningDaemon) -> None:
    os.kill(daemon.status().fleet.processes["supervisor"], signal.SIGKILL)


def test_it_exits_as_its_program_did(daemon: RunningDaemon) -> None:
    script = 'echo "$W {name} ${name} $PWD"; exit 3'
    ended = ringctl(daemon, "run", "--wait", "--cwd", "/", "-e", "W=${HOME} {n}", "--", "sh", "-c", script)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "sh: started\n", "")
    assert (daemon.directory / "logs/sh.log").read_text() == "${HOME} {n} {name}  /\n"
    killed = ringctl(daemon, "run", "--wait", "--pipe", "--name", "k", "sh", "-c", "kill -9 $$")
    assert (killed.returncode, killed.stderr) == (137, "ringctl: k: killed by SIGKILL\n")
    assert "k" not in names(daemon) or daemon.session("k").io == "pipe"


def test_it_is_gone_once_it_ended_and_its_log_stays(daemon: RunningDaemon) -> None:
    ringctl(daemon, "run", "--name", "short", "--wait", "--", "echo", "here")
    while "short" in names(daemon):
        pass
    assert (daemon.directory / "logs/short.log").read_text() == "here\n"
    assert os.listdir(f"{daemon.runtime_dir}/run") == []


def test_names_are_taken_from_the_program_and_never_twice(daemon: RunningDaemon) -> None:
    assert ringctl(daemon, "run", *FOREVER).stdout == "sleep: started\n"
    assert ringctl(daemon, "run", *FOREVER).stdout == "sleep-2: started\n"
    taken = ringctl(daemon, "run", "--name", "steady", *FOREVER)
    assert (taken.returncode, taken.stdout) == (1, "")
    assert taken.stderr.startswith("ringctl: the name steady is taken")
    assert ringctl(daemon, "run", "--name", "a b", *FOREVER).returncode == 2


def test_what_cannot_be_started_is_a_failure(daemon: RunningDaemon) -> None:
    nowhere = ringctl(daemon, "run", "--", "/no/such/program")
    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert nowhere.stderr == "ringctl: program was not started: no such file; the command was /no/such/program\n"


@pytest.mark.parametrize("kept", [("--keep",), ()])
def test_neither_update_nor_the_death_of_a_supervisor_removes_it(daemon: RunningDaemon, kept: tuple[str, ...]) -> None:
    ringctl(daemon, "run", *kept, "--name", "mine", *FOREVER)
    pid = daemon.session("mine").pid
    assert "of-the-fleet" in daemon.session("mine").tags
    kill_supervisor(daemon)
    assert daemon.session("mine").pid == pid
    daemon.write(SESSIONS.replace("[session.steady]", "[session.other]"))
    daemon.stream(Update(1))
    assert names(daemon) == {"mine", "other", "once"}
    assert daemon.session("mine").pid == pid
    daemon.act(Verb.STOP, "mine")
    while not kept and "mine" in names(daemon):  # watched by the next supervisor, too
        pass
    assert ("mine" in names(daemon)) is bool(kept)


def test_only_what_is_kept_outlives_ringvisord(daemon: RunningDaemon) -> None:
    ringctl(daemon, "run", "--name", "passes", *FOREVER)
    ringctl(daemon, "run", "--keep", "--name", "stays", *FOREVER)
    daemon.stop()
    daemon.process = daemon.launch()
    again = daemon.wait_state("stays", "RUNNING")
    assert (again.epoch, names(daemon)) == (2, {"stays", "steady", "once"})
    assert ringctl(daemon, "stop", "stays").returncode == 0
    assert ringctl(daemon, "remove", "stays").returncode == 0
    daemon.stream(Update(1))
    assert names(daemon) == {"steady", "once"}
    assert os.listdir(daemon.directory / "state/run") == []


def test_the_end_is_told_by_the_next_supervisor(daemon: RunningDaemon) -> None:
    command = [sys.executable, "-m", "supervisor.cli.main", "-s", f"{daemon.runtime_dir}/control.sock"]
    read, write = os.pipe()
    with subprocess.Popen([*command, "run", "--wait", "--", "sh", "-c", "sleep 1000; exit 7"], stdout=write) as client:
        os.close(write)
        assert os.read(read, 100) == b"sh: started\n"
        os.close(read)
        kill_supervisor(daemon)
        pid = daemon.session("sh").pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert client.wait(PATIENCE_S) == 7


def test_a_name_that_comes_again_goes_on_in_its_log(daemon: RunningDaemon) -> None:
    """It would count its epochs from 1 again, and the log would take its bytes for those it has."""
    daemon.wait_state("once", "EXITED")
    daemon.stream(RemoveGroup(1, "once"))
    daemon.stream(AddGroup(1, "once"))
    ended = daemon.stream(AwaitEnd(1, "once"))
    assert [type(answer) for answer in ended] == [Ended]
    assert ringctl(daemon, "run", "--wait", "--name", "other", "sh", "-c", "echo one").returncode == 0
    assert ringctl(daemon, "run", "--wait", "--name", "other", "sh", "-c", "echo two").returncode == 0
    kill_supervisor(daemon)
    assert ringctl(daemon, "run", "--wait", "--name", "other", "sh", "-c", "echo three").returncode == 0
    daemon.stop()
    assert (daemon.directory / "logs/once.log").read_text() == "epoch 1\nepoch 2\n"
    assert (daemon.directory / "logs/other.log").read_text() == "one\ntwo\nthree\n"


def test_a_file_that_is_broken_leaves_the_fleet_as_it_was(daemon: RunningDaemon) -> None:
    daemon.wait_state("steady", "RUNNING")
    daemon.write('[session.steady]\ncomand = ["sleep"]\n')
    refused = ringctl(daemon, "run", "--name", "mine", *FOREVER)
    assert refused.returncode == 1
    assert "comand" in refused.stderr
    assert names(daemon) == {"steady", "once"}
    assert os.listdir(f"{daemon.runtime_dir}/run") == []
