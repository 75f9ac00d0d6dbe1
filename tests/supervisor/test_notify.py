"""What systemd hears of ringvisord, on a socket as systemd's."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.daemon.notify import beat_every_s
from tests.support.daemon import PATIENCE_S, RunningDaemon, running_daemon
from tests.support.leaks import children_of

SESSIONS = '[session.a]\ncommand = ["sleep", "1000"]\nstart_seconds = 0.1\n'
BEAT_USEC = 400_000


class Systemd:
    """Its end of NOTIFY_SOCKET: words as they come, and whose they are."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + path[1:] if path.startswith("@") else path)
        self._socket.settimeout(PATIENCE_S)
        self.senders: set[int] = set()

    def heard(self) -> dict[str, str]:
        data, ancillary, _, _ = self._socket.recvmsg(4096, 64)
        self.senders.add(int.from_bytes(ancillary[0][2][:4], "little"))
        return dict(line.split("=", 1) for line in data.decode().splitlines())

    def until(self, name: str, value: str) -> dict[str, str]:
        while (words := self.heard()).get(name) != value:
            pass
        return words

    def is_silent_for(self, seconds: float) -> bool:
        self._socket.settimeout(seconds)
        try:
            while "WATCHDOG" not in self.heard():
                pass
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(PATIENCE_S)
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    found = Systemd(f"{tmp_path}/notify" if request.param == "path" else f"@ringvisor-test-{os.getpid()}")
    yield found
    found.close()


@pytest.fixture
def daemon(systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningDaemon]:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.path)
    monkeypatch.setenv("WATCHDOG_USEC", str(BEAT_USEC))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with running_daemon(tmp_path, f"notify-{os.getpid()}", SESSIONS) as running:
        yield running


def test_a_life_as_systemd_hears_it(systemd: Systemd, daemon: RunningDaemon) -> None:
    """All of it from the main process: NotifyAccess=main is enough."""
    assert systemd.until("READY", "1")["STATUS"].startswith("1 sessions: 1 START")
    systemd.until("STATUS", "1 sessions: 1 RUNNING")
    daemon.process.send_signal(signal.SIGHUP)
    assert int(systemd.until("RELOADING", "1")["MONOTONIC_USEC"]) > 0
    systemd.until("READY", "1")
    daemon.process.send_signal(signal.SIGTERM)
    systemd.until("STOPPING", "1")
    assert daemon.process.wait(PATIENCE_S) == 0
    assert systemd.senders == {daemon.process.pid}


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_the_watchdog_is_fed_only_while_supervisor_and_keeper_turn(systemd: Systemd, daemon: RunningDaemon) -> None:
    systemd.until("WATCHDOG", "1")
    for stopped in (daemon.status().fleet.processes["supervisor"], daemon.process.pid):
        os.kill(stopped, signal.SIGSTOP)
        while not systemd.is_silent_for(BEAT_USEC / 1e6):
            pass  # what was on its way when it stopped
        assert systemd.is_silent_for(BEAT_USEC / 1e6)
        os.kill(stopped, signal.SIGCONT)
        systemd.until("WATCHDOG", "1")


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_the_next_supervisor_feeds_it_too(systemd: Systemd, daemon: RunningDaemon) -> None:
    systemd.until("WATCHDOG", "1")
    os.kill(daemon.status().fleet.processes["supervisor"], signal.SIGKILL)
    systemd.until("READY", "1")
    systemd.until("WATCHDOG", "1")


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_programs_are_told_nothing_of_it(systemd: Systemd, daemon: RunningDaemon) -> None:
    """Nor is anything of ours: the socket, the watchdog."""
    systemd.until("READY", "1")
    pid = daemon.wait_state("a", "RUNNING").pid
    assert pid in children_of(daemon.process.pid)
    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert b"WATCHDOG" not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000"}, 15.0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon", "WATCHDOG_PID": "7"}, 0.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 0.0),
        ({"NOTIFY_SOCKET": "/x"}, 0.0),
    ],
)
def test_whose_watchdog_it_is(env: dict[str, str], seconds: float) -> None:
    assert beat_every_s(env, 7) == seconds
