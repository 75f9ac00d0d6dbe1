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
from tests.supervisor.viewer.terminal import Terminal
from tests.supervisor.viewer.terminal import ringctl as terminal_ringctl
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


def test_a_sent_end_of_file_reaches_the_program(daemon: RunningDaemon) -> None:
    """Worker and keeper both hold its stdin."""
    ringctl(daemon, "run", "--pipe", "--name", "reads", "--", "sh", "-c", "cat; exit 6")
    assert ringctl(daemon, "send", "reads", "--eof").returncode == 0
    (ended,) = daemon.stream(AwaitEnd(1, "reads"))
    assert isinstance(ended, Ended)
    assert ended.exit == {"reason": "exited", "code": 6}


# ---- on a terminal


def at_terminal(daemon: RunningDaemon, *words: str) -> Terminal:
    return Terminal([*terminal_ringctl(daemon.runtime_dir, "run"), *words])


def test_a_terminal_is_attached_and_left_with_the_programs_code(daemon: RunningDaemon) -> None:
    """What it wrote stays in view; an interrupt is for the program."""
    with at_terminal(daemon, "--", "sh", "-c", "trap 'echo stopping; exit 4' INT; echo here; sleep 1000") as terminal:
        terminal.until_text("here")
        terminal.type(b"\x03")
        assert terminal.wait() == 4
        assert terminal.lines[0] == "here"
        assert [line for line in terminal.lines[1:] if line] == ["^Cstopping", "[sh ended: exit code 4]"]
        assert terminal.is_restored


def test_a_program_that_ends_at_once_is_seen(daemon: RunningDaemon) -> None:
    with at_terminal(daemon, "echo", "quick one") as terminal:
        assert terminal.wait() == 0
        assert [line for line in terminal.lines if line] == ["quick one", "[echo ended: exit code 0]"]


def test_a_program_on_pipes_gets_lines_and_their_end(daemon: RunningDaemon) -> None:
    """One Ctrl-D is enough: no question to the terminal has begun a line."""
    with at_terminal(daemon, "--pipe", "sh", "-c", "cat; echo over; exit 5") as terminal:
        terminal.until(lambda: terminal.output.count(b"\x1b[2J") == 2)  # cleared, then the picture
        terminal.type(b"a line\n")
        terminal.until(lambda: terminal.text.count("a line") == 2)
        terminal.type(b"\x04")
        assert terminal.wait() == 5
        assert "over" in terminal.lines


def test_what_is_left_runs_on(daemon: RunningDaemon) -> None:
    with at_terminal(daemon, "--name", "mine", *FOREVER) as terminal:
        terminal.until(lambda: terminal.is_raw)
        terminal.type(b"\x1c")
        assert terminal.wait() == 0
    assert daemon.session("mine").pid > 0


def test_a_file_that_is_broken_leaves_the_fleet_as_it_was(daemon: RunningDaemon) -> None:
    daemon.wait_state("steady", "RUNNING")
    daemon.write('[session.steady]\ncomand = ["sleep"]\n')
    refused = ringctl(daemon, "run", "--name", "mine", *FOREVER)
    assert refused.returncode == 1
    assert "comand" in refused.stderr
    assert names(daemon) == {"steady", "once"}
    assert os.listdir(f"{daemon.runtime_dir}/run") == []
