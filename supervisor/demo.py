"""`ringvisord demo`: a fleet to look at, in a temporary directory that goes with it.

A shell, a program that ticks, one that crashes now and then, one that floods. While they work, a worker, the router,
the supervisor and then all of them are killed with SIGKILL; at the end the books are compared: the bytes of each log
against its index, and against the ring.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import click

from ipc.log_verify import verify_log
from supervisor.control.client import ControlClient, NobodyAnswersError, connect
from supervisor.control.messages import GetStatus, SessionStatus, Shutdown, StatusReport

_FLEET = """
[fleet]
name = "demo"
runtime_dir = "run"
state_dir = "state"
log_dir = "logs"

[session.shell]
command = ["sh"]
stop = "HUP"

[session.tick]
command = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done"]

[session.crash]
command = ["sh", "-c", "echo about to fail; sleep 2; exit 3"]
restart = { policy = "always", delay = "200ms", max = 1000 }

[session.flood]
command = ["sh", "-c", "yes 'the quick brown fox jumps over the lazy dog'"]
log = { max_size = "64M", keep = 1 }
"""
_START_MAX_S = 20.0
_STOP_MAX_S = 30.0
_ANSWER_MAX_S = 5.0


class Deed(NamedTuple):
    at_s: float
    what: str
    victims: Callable[[StatusReport], list[int]]


def _service(name: str) -> Callable[[StatusReport], list[int]]:
    return lambda report: [report.fleet.processes.get(name, 0)]


def _worker(session: str) -> Callable[[StatusReport], list[int]]:
    return lambda report: [one.worker_pid for one in report.sessions if one.name == session]


def _everybody(report: StatusReport) -> list[int]:
    return [*report.fleet.processes.values(), *(one.worker_pid for one in report.sessions)]


_DEEDS = (
    Deed(2.0, "kill -9 the worker of flood", _worker("flood")),
    Deed(4.0, "kill -9 the router", _service("router")),
    Deed(6.0, "kill -9 the supervisor", _service("supervisor")),
    Deed(8.0, "kill -9 router, supervisor and every worker at once", _everybody),
)


def run_demo(seconds: float) -> int:
    with tempfile.TemporaryDirectory(prefix="ringvisor-demo-") as directory:
        fleet = f"{directory}/ringvisor.toml"
        with open(fleet, "w") as file:
            file.write(_FLEET)
        with _ringvisord(fleet, f"{directory}/ringvisord.out") as process:
            socket = f"{directory}/run/control.sock"
            if not _wait_ready(socket, process):
                with open(f"{directory}/ringvisord.out") as out:
                    click.echo(out.read(), err=True)
                return 1
            _watch(socket, seconds)
            _shut_down(socket, process)
        return 0 if _compare(f"{directory}/logs") else 1


@contextlib.contextmanager
def _ringvisord(fleet: str, out: str) -> Iterator["subprocess.Popen[bytes]"]:
    with open(out, "wb") as file:
        command = [sys.executable, "-m", "supervisor.main", "-c", fleet]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_MAX_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_ready(socket: str, process: "subprocess.Popen[bytes]") -> bool:
    """It listens as soon as the keeper is up; the first answer comes once a supervisor serves."""
    pidfd = os.pidfd_open(process.pid)
    try:
        deadline_s = time.monotonic() + _START_MAX_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(NobodyAnswersError), connect(socket):
                return True
            if select.select([pidfd], [], [], 0.05)[0]:
                return False
    finally:
        os.close(pidfd)
    return False


def _watch(socket: str, seconds: float) -> None:
    began_s = time.monotonic()
    deeds = list(_DEEDS)
    while (now_s := time.monotonic() - began_s) < seconds:
        report = _status(socket)
        if report is not None:
            _show(report, now_s)
            if deeds and now_s >= deeds[0].at_s:
                _do(deeds.pop(0), report)
        _until(began_s + int(now_s) + 1)


def _until(moment_s: float) -> None:
    """The picture is drawn once a second: that is what a person can read."""
    select.select([], [], [], max(0.0, moment_s - time.monotonic()))


def _status(socket: str) -> StatusReport | None:
    try:
        with connect(socket) as client:
            answer = client.ask(GetStatus(client.next_id()), timeout_s=_ANSWER_MAX_S)
            return answer if isinstance(answer, StatusReport) else None
    except NobodyAnswersError:
        return None  # between two supervisors; connections wait in the keeper's socket


def _show(report: StatusReport, now_s: float) -> None:
    click.echo(f"--- {now_s:4.1f} s   supervisor {report.fleet.processes.get('supervisor', 0)}, "
               f"router {report.fleet.processes.get('router', 0)}")  # fmt: skip
    for one in report.sessions:
        click.echo(f"  {one.name:<8}{one.state:<10}{one.description:<28}{_books(one)}")


def _books(one: SessionStatus) -> str:
    return f"epoch {one.epoch}, worker {one.worker_pid or '-'}, wrote {one.offset:,} bytes, lost {one.lost_bytes:,}"


def _do(deed: Deed, report: StatusReport) -> None:
    click.echo(f">>> {deed.what}")
    for pid in filter(None, deed.victims(report)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _shut_down(socket: str, process: "subprocess.Popen[bytes]") -> None:
    click.echo(">>> ringctl shutdown")
    with contextlib.suppress(NobodyAnswersError):
        client: ControlClient
        with connect(socket) as client:
            for _ in client.stream(Shutdown(client.next_id()), timeout_s=_ANSWER_MAX_S):
                pass
    process.wait(_STOP_MAX_S)


def _compare(log_dir: str) -> bool:
    click.echo("=== the books: every log re-read, and checked against its index")
    balanced = True
    for name in sorted(name for name in os.listdir(log_dir) if name.endswith(".log")):
        report = verify_log(log_dir, name)
        gaps = sum(gap.end - gap.start for gap in report.gaps)
        holds = report.ok and not gaps
        balanced &= holds
        verdict = "balanced" if holds else "DOES NOT BALANCE"
        click.echo(f"  {name:<12} {report.count:>12,} bytes in {len(report.epochs)} epochs, {gaps} lost: {verdict}")
        for problem in report.problems:
            click.echo(f"    {problem.part}: {problem.what}")
    return balanced
