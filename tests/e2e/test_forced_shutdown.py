"""ringctl shutdown --force: what a fleet has left running is ended from its records, and nobody else is touched."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from supervisor.keeper.table import SessionRecord
from tests.support.daemon import PATIENCE_S, RunningDaemon, running_daemon

SESSIONS = """
[defaults]
start_seconds = 0.1
stop = { timeout = "200ms" }

[session.talks]
command = ["sh", "-c", "trap 'echo asked to end; exit' TERM; echo here; while :; do sleep 0.01; done"]
stop = { timeout = "20s" }

[session.stubborn]
command = ["sh", "-c", "trap '' TERM; (setsid sleep 1000) & sleep 1000 & echo $! > stubborn; wait; sleep 1000"]
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path, f"forced-{os.getpid()}", SESSIONS) as running:
        running.wait_state("talks", "RUNNING")
        running.wait_state("stubborn", "RUNNING")
        yield running


@pytest.fixture
def innocent() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def force(daemon: RunningDaemon, *more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "supervisor.cli.main", "-c", str(daemon.file), "shutdown", "--force", *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def ring_dir(daemon: RunningDaemon) -> str:
    return str(json.loads(Path(f"{daemon.runtime_dir}/fleet.json").read_text())["ring_dir"])


def everybody(daemon: RunningDaemon) -> set[int]:
    report = daemon.status()
    pids = {report.fleet.pid, *report.fleet.processes.values()}
    return pids | {pid for one in report.sessions for pid in (one.pid, one.worker_pid)}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("killed_first", [("keeper",), ("keeper", "supervisor"), ("keeper", "router"), ()])
def test_nothing_is_left_but_logs_and_state(daemon: RunningDaemon, killed_first: tuple[str, ...]) -> None:
    rings, everyone = ring_dir(daemon), everybody(daemon)
    everyone.add(int((daemon.directory / "stubborn").read_text()))
    processes = daemon.status().fleet.processes
    if killed_first:
        os.kill(daemon.process.pid, signal.SIGKILL)
    for name in killed_first[1:]:
        os.kill(processes[name], signal.SIGKILL)
    ended = force(daemon)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert "talks: stopped" in lines
    assert "stubborn: killed, it did not end within 0.2 s" in lines
    assert lines[-1] == "Shut down"
    assert [pid for pid in everyone if is_alive(pid)] == []
    assert not os.path.exists(rings)
    assert sorted(os.listdir(daemon.runtime_dir)) == ["fleet.json", "lock", "records", "w"]
    if "router" not in killed_first:
        assert (daemon.directory / "logs/talks.log").read_text().endswith("asked to end\n")
    assert force(daemon).stdout == f"nothing is left of the fleet in {daemon.runtime_dir}\n"


def test_ringvisord_begins_again_behind_it(daemon: RunningDaemon) -> None:
    """Its journal says that all run: they do not, and are started."""
    os.kill(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait()
    force(daemon)
    daemon.process = daemon.launch()
    again = daemon.wait_state("talks", "RUNNING")
    assert (again.epoch, is_alive(again.pid)) == (2, True)


def test_who_has_a_pid_by_now_is_left_alone(daemon: RunningDaemon, innocent: "subprocess.Popen[bytes]") -> None:
    """Start times tell: keeper and program are gone, their pids are somebody's."""
    pid = daemon.session("stubborn").pid
    os.kill(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait()
    keeper = Path(f"{daemon.runtime_dir}/keeper.json")
    keeper.write_text(json.dumps({**json.loads(keeper.read_text()), "pid": innocent.pid}))
    path = Path(f"{daemon.runtime_dir}/records/talks.rec")
    record = msgspec.msgpack.decode(path.read_bytes(), type=SessionRecord)
    assert record.session.run is not None
    os.kill(record.session.run.pid, signal.SIGKILL)
    record.session.run.pid = innocent.pid
    path.write_bytes(msgspec.msgpack.encode(record))
    ended = force(daemon)
    assert f"keeper is gone: pid {innocent.pid} is another process by now, and left alone" in ended.stdout
    assert f"the program of talks is gone: pid {innocent.pid} is another process by now" in ended.stdout
    assert innocent.poll() is None
    assert not is_alive(pid)


def test_a_record_that_cannot_be_read_stops_everything(daemon: RunningDaemon) -> None:
    everyone = everybody(daemon)
    Path(f"{daemon.runtime_dir}/records/talks.rec").write_bytes(b"torn")
    refused = force(daemon)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "records/talks.rec cannot be read" in refused.stderr
    assert [pid for pid in everyone if not is_alive(pid)] == []


def test_records_of_another_boot_are_of_nobody(daemon: RunningDaemon, innocent: "subprocess.Popen[bytes]") -> None:
    daemon.stop()
    keeper = {"pid": innocent.pid, "start_ticks": 1, "boot_id": "another", "services": {}}
    Path(f"{daemon.runtime_dir}/keeper.json").write_text(json.dumps(keeper))
    ended = force(daemon)
    assert ended.returncode == 0
    assert "its records are of another boot: nothing of it can run" in ended.stdout
    assert innocent.poll() is None


def test_a_ringvisord_that_the_records_do_not_name_is_left_alone(daemon: RunningDaemon) -> None:
    everyone = everybody(daemon)
    os.unlink(f"{daemon.runtime_dir}/keeper.json")
    refused = force(daemon)
    assert refused.returncode == 1
    assert f"with pid {daemon.process.pid}" in refused.stderr
    assert [pid for pid in everyone if not is_alive(pid)] == []
