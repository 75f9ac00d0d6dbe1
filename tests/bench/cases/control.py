"""`control`: what an operator waits for with a thousand programs: start all, status, stop all; and after a kill -9 of
the daemon, until it answers again."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import family, usage
from tests.bench.installed import tool
from tests.bench.operated import Installation, Operator, Program, wait_until
from tests.bench.options import Options
from tests.bench.our_daemon import RINGVISORD
from tests.bench.peers.pm2 import PM2
from tests.bench.peers.supervisord import SUPERVISORD_OPERATED
from tests.bench.rounds import interleaved, median, present
from tests.bench.table import Cell, Json, print_table

SESSIONS = 1000
LOOKS = 15
PATIENCE_S = 300.0
SETTLE_S = 3.0
HEADS = (
    "who", "start all s", "status ms", "min ms", "first ms", "daemon's CPU ms", "killed: answers ms", "stop all s",
    "version",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Control:
    start_s: float
    first_status_ms: float  # nothing was asked of this daemon before
    status_ms: Sequence[float]
    daemon_cpu_ms: float  # for each status
    revived_ms: float | None  # kill -9 of what decides, to the next answer
    stop_s: float


def control(options: Options) -> Json:
    sessions = options.sessions or SESSIONS
    able = present([RINGVISORD, SUPERVISORD_OPERATED, PM2], options.wants)
    title = f"control: {sessions} programs `sleep`, operated with the tool's own command"
    results = interleaved(title, able, options.runs, options.quiet_s, lambda one: _measure(one, sessions, options))
    versions = {one.name: one.version() for one in able}
    print_table(title, HEADS, [_row(name, found, versions[name]) for name, found in results.items()])
    return {title: {name: [asdict(one) for one in found] for name, found in results.items()}}


def _row(name: str, found: Sequence[Control], version: str) -> list[Cell]:
    revived = [one.revived_ms for one in found if one.revived_ms is not None]
    return [
        name,
        median(one.start_s for one in found),
        median(ms for one in found for ms in one.status_ms),
        min(ms for one in found for ms in one.status_ms),
        median(one.first_status_ms for one in found),
        median(one.daemon_cpu_ms for one in found),
        median(revived) if revived else None,
        median(one.stop_s for one in found),
        version,
    ]


def _measure(one: Installation, sessions: int, options: Options) -> Control:
    directory = Path(tempfile.mkdtemp(prefix="control-", dir=options.work_dir))
    argv = (str(tool("sleep")), "1000000")
    operator = one.launch([Program(f"s{n}", argv) for n in range(sessions)], directory)
    try:
        start_s = _timed(operator, "start", argv, sessions)
        time.sleep(SETTLE_S)
        first_ms = _status_ms(operator)
        status_ms, daemon_cpu_ms = _looks(operator)
        revived_ms = _revived_ms(operator) if operator.survives else None
        time.sleep(SETTLE_S)
        return Control(start_s, first_ms, status_ms, daemon_cpu_ms, revived_ms, _timed(operator, "stop", argv, 0))
    finally:
        operator.stop()
        family.sweep()
        shutil.rmtree(directory, ignore_errors=True)


def _timed(operator: Operator, verb: str, argv: Sequence[str], running: int) -> float:
    """Until the command has returned and so many run: looking at all processes is work, and comes after it."""
    began_s = time.monotonic()
    done = operator.run(verb, "all")
    took_s = time.monotonic() - began_s
    if len(family.running(argv)) != running:
        wait_until(f"{verb} all ({done.stderr.strip()})", lambda: len(family.running(argv)) == running, PATIENCE_S)
        took_s = time.monotonic() - began_s
    return took_s


def _status_ms(operator: Operator) -> float:
    began_s = time.monotonic()
    operator.run("status")
    return (time.monotonic() - began_s) * 1000


def _looks(operator: Operator) -> tuple[list[float], float]:
    decider = [operator.decider()]
    before_s = usage.cpu_s(decider)
    found = [_status_ms(operator) for _ in range(LOOKS)]
    return found, (usage.cpu_s(decider) - before_s) / LOOKS * 1000


def _revived_ms(operator: Operator) -> float:
    killed = operator.decider()
    began_s = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    wait_until("another one answers", lambda: operator.decider() != killed, PATIENCE_S)
    return (time.monotonic() - began_s) * 1000
