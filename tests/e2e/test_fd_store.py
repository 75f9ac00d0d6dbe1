"""Keeper and workers killed at once, under something that keeps fds as systemd does: the programs notice nothing."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.control.messages import Verb
from tests.support.changes import wait_until
from tests.support.daemon import PATIENCE_S, RunningDaemon, running_daemon

SESSIONS = """
[session.cat]
command = ["cat"]
start_seconds = 0

[session.both]
io = "pipe"
command = ["sh", "-c", "read word; echo out $word; echo err $word >&2; read word; exec sleep 1000"]
start_seconds = 0
"""


class Store:
    """systemd's end of NOTIFY_SOCKET, as far as it concerns fds."""

    def __init__(self, directory: Path) -> None:
        self.path, self.file = f"{directory}/notify", directory / "kept"
        self.kept: dict[str, int] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(PATIENCE_S)
        self._write()

    def hear(self, words: str) -> None:
        """Everything up to a message with these words."""
        while True:
            data, fds, _, _ = socket.recv_fds(self._socket, 4096, 4)
            said = dict(line.split("=", 1) for line in data.decode().splitlines())
            if "FDSTORE" in said:
                assert said["FDPOLL"] == "0"
                (self.kept[said["FDNAME"]],) = fds
            elif "FDSTOREREMOVE" in said:
                os.close(self.kept.pop(said["FDNAME"]))
            self._write()
            if words in data.decode():
                return

    def _write(self) -> None:
        self.file.write_text("".join(f"{fd} {name}\n" for name, fd in self.kept.items()))

    def close(self) -> None:
        self._socket.close()
        for fd in self.kept.values():
            os.close(fd)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", store.path)
    yield store
    store.close()


@pytest.fixture
def daemon(store: Store, tmp_path: Path) -> Iterator[RunningDaemon]:
    start = (sys.executable, "-m", "tests.support.service_start", str(os.getpid()), str(store.file))
    with running_daemon(tmp_path, f"fd-store-{os.getpid()}", SESSIONS, wrapper=start) as running:
        for name in ("cat", "both"):
            running.wait_state(name, "RUNNING")
        yield running


NAMES = {"cat.1.master", "both.1.stdin", "both.1.stdout", "both.1.stderr"}


def kill_keeper_and_workers(daemon: RunningDaemon) -> None:
    """No one of them sees another one's end."""
    pids = [daemon.process.pid, *(one.worker_pid for one in daemon.status().sessions)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    daemon.process.wait()


def say(daemon: RunningDaemon, session: str, word: str, log: str, times: int = 1) -> None:
    """Until its program has answered."""
    command = [sys.executable, "-m", "supervisor.cli.main", "-c", str(daemon.file), "send", session, word]
    assert os.spawnv(os.P_WAIT, command[0], command) == 0
    path = daemon.directory / "logs" / log
    wait_until(str(path.parent), lambda: path.exists() and path.read_text().count(word) >= times)


def test_programs_run_on(store: Store, daemon: RunningDaemon) -> None:
    """On the same terminal and the same pipes, which work as before; nothing is kept twice, or too long."""
    store.hear("READY=1")
    assert store.kept.keys() == NAMES
    before = {one.name: (one.pid, one.epoch) for one in daemon.status().sessions}
    kill_keeper_and_workers(daemon)
    daemon.process = daemon.launch()
    store.hear("READY=1")
    assert {one.name: (one.pid, one.epoch) for one in daemon.status().sessions} == before
    assert store.kept.keys() == NAMES
    say(daemon, "cat", "terminal", "cat.log", times=2)
    say(daemon, "both", "pipes", "both.err.log")
    assert (daemon.directory / "logs/both.log").read_text() == "out pipes\n"
    daemon.act(Verb.STOP, "both")
    store.hear("both.1.stderr")
    daemon.wait_state("both", "STOPPED")
    assert store.kept.keys() == {"cat.1.master"}


def test_what_is_nobodys_any_more_is_let_go(store: Store, daemon: RunningDaemon) -> None:
    """Ended while no keeper was there: systemd still has its fds."""
    store.hear("READY=1")
    pid = daemon.session("cat").pid
    kill_keeper_and_workers(daemon)
    os.kill(pid, signal.SIGKILL)
    stranger = os.memfd_create("stranger")
    store.kept["stranger"] = stranger
    store._write()
    daemon.process = daemon.launch()
    store.hear("FDNAME=stranger")
    store.hear("FDNAME=cat.2.master")
    assert daemon.wait_state("cat", "RUNNING").epoch == 2
    assert store.kept.keys() == {"cat.2.master"} | (NAMES - {"cat.1.master"})


def test_programs_get_the_soft_limit_that_the_service_names(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd passes kept fds on below the soft limit only, so that ours is high; the variable is not for them."""
    monkeypatch.setenv("RINGVISOR_SOFT_NOFILE", "1000")
    script = "ulimit -Sn; echo ${RINGVISOR_SOFT_NOFILE-unset}; exec sleep 1000"
    sessions = f'[session.limits]\nio = "pipe"\ncommand = ["sh", "-c", "{script}"]\n'
    with running_daemon(tmp_path, f"soft-{os.getpid()}", sessions) as running:
        log = running.directory / "logs/limits.log"
        os.makedirs(log.parent, exist_ok=True)
        wait_until(str(log.parent), lambda: log.exists() and log.read_text().count("\n") == 2)
        assert log.read_text() == "1000\nunset\n"
