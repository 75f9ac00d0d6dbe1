"""`ringvisord --daemon`: back when the fleet is ready, or with the reason why it never will be."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.control.client import connect
from supervisor.control.messages import GetStatus, StatusReport
from tests.support import leaks

PATIENCE_S = 30.0


class Daemonized:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"daemon-{os.getpid()}"
        head = f'[fleet]\nname = "{self.name}"\nruntime_dir = "run"\nstate_dir = "state"\nlog_dir = "logs"\n'
        self.file = directory / "ringvisor.toml"
        self.file.write_text(head + '[session.a]\ncommand = ["sleep", "1000"]\nstart_seconds = 0.1\n')

    def start(self, *options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "supervisor.main", "-c", str(self.file), "--daemon", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    def pid(self) -> int:
        return int((self.directory / "run" / "lock").read_text())

    def log(self) -> str:
        return (self.directory / "logs" / "ringvisord.log").read_text()

    def end(self) -> int:
        """Its exit code: an orphan of the caller, it became our child."""
        pid = self.pid()
        pidfd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        assert select.select([pidfd], [], [], PATIENCE_S)[0]
        os.close(pidfd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Daemonized]:
    found = Daemonized(tmp_path)
    yield found
    leaks.kill_all(leaks.descendants_of(os.getpid()))
    leaks.reap_orphans()
    leaks.remove_shared(f"ringvisor-{os.geteuid()}-{found.name}")


def test_it_is_ready_when_the_caller_goes_on(fleet: Daemonized) -> None:
    """In a session that it does not lead, without the caller's directory and stdio; its pid is in the lock file."""
    started = fleet.start()
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    with connect(f"{fleet.directory}/run/control.sock") as client:
        report = client.ask(GetStatus(1), timeout_s=PATIENCE_S)
    assert isinstance(report, StatusReport)
    pid = fleet.pid()
    assert report.fleet.pid == pid
    assert os.getsid(pid) not in (pid, os.getsid(0))
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)} == {"/dev/null"}
    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{report.sessions[0].pid}/environ").read_bytes()
    assert fleet.end() == 0
    assert "supervisor begins" in fleet.log()
    assert "state=STOPPED" in fleet.log()
    assert not os.path.exists(f"/dev/shm/ringvisor-{os.geteuid()}-{fleet.name}")


def test_one_that_runs_already_is_named(fleet: Daemonized) -> None:
    assert fleet.start().returncode == 0
    second = fleet.start()
    assert second.returncode == 1
    assert f"is running on {fleet.directory}/run already, with pid {fleet.pid()}" in second.stderr
    assert fleet.start().returncode == 1  # and the first one's pid file is still its own


def test_errors_reach_the_caller(fleet: Daemonized) -> None:
    """With the exit codes of the foreground."""
    fleet.file.write_text('[session.a]\ncomand = "x"\n')
    refused = fleet.start()
    assert refused.returncode == 2
    assert "comand" in refused.stderr


def test_one_that_dies_before_it_is_ready_is_no_success(fleet: Daemonized) -> None:
    """What it had to say stands in its log; the caller says where that is."""
    (fleet.directory / "state").write_text("in the way")
    failed = fleet.start()
    assert failed.returncode == 1
    assert "state" in failed.stderr


def test_its_log_as_json(fleet: Daemonized) -> None:
    assert fleet.start("--log-format", "json").returncode == 0
    assert all(line.startswith('{"time":"') for line in fleet.log().splitlines())
