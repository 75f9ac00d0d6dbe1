"""The demo's fleet, and the ringvisord that runs it.

ringvisord has a session of its own, so that a Ctrl-C meant for the demo does not reach it, and it gets a SIGTERM from
the kernel when the demo is killed: nothing is to flood on for ever because somebody's terminal died.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from supervisor.cli.exits import Refusal
from supervisor.cli.forced_shutdown import force_shutdown
from supervisor.cli.operating import Operator
from supervisor.cli.places import Wanted, place_of_socket
from supervisor.control.client import NobodyAnswersError
from supervisor.control.messages import Shutdown

_FLEET = """
[fleet]
name = "demo-{pid}"
runtime_dir = "run"
state_dir = "state"
log_dir = "logs"

[session.shell]
command = ["sh"]
env = {{ PS1 = "demo$ " }}
stop = "HUP"

[session.tick]
command = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done"]

[session.crash]
command = ["sh", "-c", "echo about to fail; sleep 4; exit 3"]
restart = {{ policy = "always", delay = "200ms", max = 1000 }}

[session.flood]
command = ["nice", "yes", "the quick brown fox jumps over the lazy dog"]
log = {{ max_size = "64M", keep = 1 }}
"""
FIRST_SELECTED = "shell"
_PACKAGES = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1
_START_MAX_S = 20.0
_STOP_MAX_S = 30.0
_FORCED_STOP_S = 1.0
_libc = ctypes.CDLL(None)


class DemoFleet:
    def __init__(self, directory: str, process: "subprocess.Popen[bytes]") -> None:
        self.runtime_dir = f"{directory}/run"
        self.log_dir = f"{directory}/logs"
        self.operator = Operator(Wanted(socket=f"{self.runtime_dir}/control.sock"))
        self._directory = directory
        self._process = process

    def kill(self, pids: Iterable[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def shut_down(self) -> None:
        """In order. It is asked, then told; where that does not help, by force."""
        with contextlib.suppress(NobodyAnswersError):
            for _ in self.operator.order(Shutdown(1), timeout_s=_STOP_MAX_S):
                pass
        _end(self._directory, self._process)


class NotStartedError(Exception):
    """ringvisord ended, or was not ready in time; the message is what it said."""


@contextlib.contextmanager
def running_fleet(directory: str) -> Iterator[DemoFleet]:
    """Raises NotStartedError."""
    file, out = f"{directory}/ringvisor.toml", f"{directory}/ringvisord.out"
    Path(file).write_text(_FLEET.format(pid=os.getpid()))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as readiness:
        readiness.bind(f"{directory}/ready")
        process = _start(file, out, f"{directory}/ready")
        try:
            if not _wait_ready(readiness, process):
                raise NotStartedError(Path(out).read_text())
            yield DemoFleet(directory, process)
        finally:
            _end(directory, process)


def _start(file: str, out: str, readiness: str) -> "subprocess.Popen[bytes]":
    """With our code, wherever it lies: `-m` looks in the working directory first."""
    with open(out, "wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "supervisor.main", "-c", file],
            cwd=_PACKAGES,
            env={**os.environ, "NOTIFY_SOCKET": readiness},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=_end_with_the_demo,  # noqa: PLW1509 - there is one thread
        )


def _end_with_the_demo() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _wait_ready(readiness: socket.socket, process: "subprocess.Popen[bytes]") -> bool:
    pidfd = os.pidfd_open(process.pid)
    try:
        ready, _, _ = select.select([readiness.fileno(), pidfd], [], [], _START_MAX_S)
    finally:
        os.close(pidfd)
    return readiness.fileno() in ready


def _end(directory: str, process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        if process.poll() is None:
            process.terminate()
            process.wait(_STOP_MAX_S)
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.returncode:  # what it ran runs on
        with contextlib.suppress(Refusal):
            force_shutdown(place_of_socket(f"{directory}/run/control.sock"), _FORCED_STOP_S, lambda _: None)
