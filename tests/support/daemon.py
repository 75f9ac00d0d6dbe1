"""A real ringvisord in a temporary directory, and a client that waits for what it says."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from supervisor.control.client import ControlClient, NobodyAnswersError, connect
from supervisor.control.messages import (
    Act,
    Answer,
    FollowEvents,
    GetStatus,
    Happened,
    Outcome,
    SessionStatus,
    StatusReport,
    Verb,
)
from tests.support import leaks
from tests.support.changes import Changes

PATIENCE_S = 20.0
OURS = (sys.executable, "-m", "supervisor.main")


def without_our_tree() -> dict[str, str]:
    """An environment for another installation."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


class RunningDaemon:
    def __init__(
        self,
        directory: Path,
        name: str,
        sessions: str,
        wrapper: tuple[str, ...] = (),
        ringvisord: tuple[str, ...] = OURS,
    ) -> None:
        """wrapper: a command that starts it, and becomes it, such as unshare. ringvisord: another one than ours."""
        self.directory = directory
        self._wrapper = wrapper
        self._ringvisord = ringvisord
        self.runtime_dir = f"{directory}/run"
        self.file = directory / "ringvisor.toml"
        self.head = f'[fleet]\nname = "{name}"\nruntime_dir = "run"\nstate_dir = "state"\nlog_dir = "logs"\n'
        self.write(sessions)
        os.makedirs(self.runtime_dir, mode=0o700, exist_ok=True)
        self._out = directory / "out"
        with Changes(self.runtime_dir) as changes:
            self.process = self.launch()
            while not os.path.exists(f"{self.runtime_dir}/control.sock"):
                changes.wait(PATIENCE_S)

    def write(self, sessions: str) -> None:
        self.file.write_text(self.head + sessions)

    def launch(self) -> "subprocess.Popen[bytes]":
        with self._out.open("ab") as out:
            command = [*self._wrapper, *self._ringvisord, "-c", str(self.file)]
            env = None if self._ringvisord == OURS else without_our_tree()
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)

    def output(self) -> str:
        return self._out.read_text()

    def client(self) -> ControlClient:
        return connect(f"{self.runtime_dir}/control.sock")

    def status(self) -> StatusReport:
        with self.client() as client:
            report = client.ask(GetStatus(1), timeout_s=PATIENCE_S)
        assert isinstance(report, StatusReport)
        return report

    def session(self, name: str) -> SessionStatus:
        return next(one for one in self.status().sessions if one.name == name)

    def act(self, verb: Verb, *selectors: str) -> list[Outcome]:
        return [answer for answer in self.stream(Act(1, verb, list(selectors))) if isinstance(answer, Outcome)]

    def stream(self, request: object) -> list[Answer]:
        with self.client() as client:
            return list(client.stream(request, timeout_s=PATIENCE_S))

    def wait_state(self, name: str, state: str) -> SessionStatus:
        """Subscribed before the look, so that no change falls in between. Goes on with the next supervisor."""
        while True:
            with contextlib.suppress(NobodyAnswersError), self.client() as client:
                events = client.stream(FollowEvents(1), timeout_s=PATIENCE_S)
                found = self.session(name)
                if found.state == state:
                    return found
                for event in events:
                    if isinstance(event, Happened) and event.session == name and event.state == state:
                        return self.session(name)

    def keeper_pid(self) -> int:
        with open(f"{self.runtime_dir}/keeper.json") as file:
            return int(json.load(file)["pid"])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        left = leaks.descendants_of(self.process.pid)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        leaks.kill_all(left)
        leaks.reap_orphans()


@contextlib.contextmanager
def running_daemon(
    directory: Path,
    name: str,
    sessions: str,
    *,
    wrapper: tuple[str, ...] = (),
    ringvisord: tuple[str, ...] = OURS,
) -> Iterator[RunningDaemon]:
    daemon = RunningDaemon(directory, name, sessions, wrapper, ringvisord)
    try:
        yield daemon
    except BaseException:
        print(daemon.output(), file=sys.stderr)
        raise
    finally:
        daemon.close()
        leaks.remove_shared(f"ringvisor-{os.geteuid()}-{name}")
