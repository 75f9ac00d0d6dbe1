"""What the demo does to its own processes, all of it with SIGKILL. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from supervisor.control.messages import StatusReport

Victims = Callable[[StatusReport], Sequence[int]]


class Deed(NamedTuple):
    what: str
    victims: Victims


def kill_worker(session: str) -> Deed:
    return Deed(f"kill -9 the worker of {session}", lambda report: _workers(report, session))


def kill_service(name: str) -> Deed:
    return Deed(f"kill -9 the {name}", lambda report: list(filter(None, [report.fleet.processes.get(name, 0)])))


def kill_everybody() -> Deed:
    return Deed("kill -9 router, supervisor and every worker at once", _everybody)


def _workers(report: StatusReport, session: str) -> list[int]:
    return [one.worker_pid for one in report.sessions if one.name == session and one.worker_pid]


def _everybody(report: StatusReport) -> list[int]:
    return [pid for pid in (*report.fleet.processes.values(), *(one.worker_pid for one in report.sessions)) if pid]
