"""The demo without a terminal: a bounded time, the same deeds in a row, and what is there each second as lines."""

import select
import time

import click

from supervisor.control.client import NobodyAnswersError
from supervisor.control.messages import SessionStatus, StatusReport
from supervisor.demo.deeds import kill_everybody, kill_service, kill_worker
from supervisor.demo.fleet import DemoFleet
from supervisor.demo.look import Books, Look, look_at

_DEEDS = (
    (2.0, kill_worker("flood")),
    (4.0, kill_service("router")),
    (6.0, kill_service("supervisor")),
    (8.0, kill_everybody()),
)


def watch_lines(fleet: DemoFleet, seconds: float) -> None:
    began_s = time.monotonic()
    deeds = list(_DEEDS)
    while (now_s := time.monotonic() - began_s) < seconds:
        look = _look(fleet)
        if look is not None:
            for line in _lines(look, now_s):
                click.echo(line)
            if deeds and now_s >= deeds[0][0]:
                deed = deeds.pop(0)[1]
                click.echo(f">>> {deed.what}")
                fleet.kill(deed.victims(look.report))
        _until(began_s + min(seconds, int(now_s) + 1))


def _until(moment_s: float) -> None:
    """The picture is drawn once a second: that is what a person can read."""
    select.select([], [], [], max(0.0, moment_s - time.monotonic()))


def _look(fleet: DemoFleet) -> Look | None:
    try:
        return look_at(fleet.operator)
    except NobodyAnswersError:
        return None  # between two supervisors; connections wait in the keeper's socket


def _lines(look: Look, now_s: float) -> list[str]:
    return [_fleet(look.report, now_s), *(_session(one, look.books[one.name]) for one in look.report.sessions)]


def _fleet(report: StatusReport, now_s: float) -> str:
    processes = ", ".join(f"{name} {pid}" for name, pid in sorted(report.fleet.processes.items()))
    return f"--- {now_s:4.1f} s   keeper {report.fleet.pid}, {processes}"


def _session(one: SessionStatus, books: Books) -> str:
    return (
        f"  {one.name:<8}{one.state:<10}{one.description:<28}run {one.epoch}, worker {one.worker_pid or '-'}, "
        f"wrote {books.written_bytes:,} bytes, {books.logged_bytes:,} in the log, {books.lost_bytes:,} lost"
    )
