"""`fleet`: many sessions, each writing 50 KB/s in stamped lines of 1 KB: CPU by role, time from write to file,
losses."""

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import family, gate, ours, usage
from tests.bench.compiled import compiled
from tests.bench.fleet import Fleet, Io, Job
from tests.bench.follow import Follower, lines_in_order
from tests.bench.options import Options
from tests.bench.peers.supervisord import SUPERVISORD
from tests.bench.peers.tmux import TMUX
from tests.bench.producer import STAMPED_BYTES, Production, Shape
from tests.bench.rounds import interleaved, median, percentile, present
from tests.bench.table import Cell, Json, print_table

SESSIONS = 200
LINES_PER_S = 50
WRITING_S = 10.0
FOLLOWED = 10
READY_MAX_S = 120.0
LATE_MAX_S = 10.0  # after the last producer's end
LOOK_EVERY_S = 0.25
HEADS = ("who", "p50 ms", "p99 ms", "max ms", "CPU % of one core, by role", "others", "lost lines", "version")


@dataclass(frozen=True, slots=True)
class Load:
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_percent: Mapping[str, float]
    others: float
    lost_lines: int


def fleet(options: Options) -> Json:
    sessions = options.sessions or SESSIONS
    mine = ours.fleet()
    able = present([*([mine] if mine else []), SUPERVISORD, TMUX], options.wants)
    title = (
        f"fleet: {sessions} sessions of {LINES_PER_S} KB/s, {_seconds(options):.0f} s, latency of {FOLLOWED} of them"
    )
    results = interleaved(title, able, options.runs, options.quiet_s, lambda one: _measure(one, sessions, options))
    rows: list[list[Cell]] = [
        [
            one.name,
            median(load.p50_ms for load in results[one.name]),
            median(load.p99_ms for load in results[one.name]),
            max(load.max_ms for load in results[one.name]),
            _by_role(results[one.name]),
            median(load.others for load in results[one.name]),
            sum(load.lost_lines for load in results[one.name]),
            one.version(),
        ]
        for one in able
        if one.name in results
    ]
    print_table(title, HEADS, rows)
    return {title: {name: [asdict(load) for load in found] for name, found in results.items()}}


def _seconds(options: Options) -> float:
    return max(1.0, WRITING_S * options.scale)


def _by_role(found: Sequence[Load]) -> str:
    roles = found[0].cpu_percent
    return ", ".join(f"{role} {median(load.cpu_percent.get(role, 0.0) for load in found):.1f}" for role in roles)


def _measure(one: Fleet, sessions: int, options: Options) -> Load:
    directory = Path(tempfile.mkdtemp(prefix="fleet-", dir=options.work_dir))
    production = Production(Shape.STAMPS, int(LINES_PER_S * _seconds(options)), terminal=True, per_second=LINES_PER_S)
    program = compiled("produce.c", options.work_dir)
    gates = [gate.Gate.made(directory, f"s{n}") for n in range(sessions)]
    jobs = [
        Job(f"s{n}", production.argv(program, each.path, each.stamp_path), directory / f"s{n}.log", Io.PTY)
        for n, each in enumerate(gates)
    ]
    try:
        one.start(jobs, directory)
        gate.wait_for_producers(gates, READY_MAX_S)
        return _loaded(one, jobs, gates, production)
    finally:
        gate.open_all(gates)
        one.stop()
        family.sweep()
        shutil.rmtree(directory, ignore_errors=True)


def _loaded(one: Fleet, jobs: Sequence[Job], gates: Sequence[gate.Gate], production: Production) -> Load:
    followed = jobs[:: max(1, len(jobs) // FOLLOWED)]
    follower = Follower([one.log_path(job) for job in followed])
    pids = one.pids()
    before, others_s, start_s = usage.cpu_by_role(pids), family.Cpu.now().others_s, time.monotonic()
    writing_s = production.count / LINES_PER_S
    gate.open_all(gates)
    follower.run(lambda: time.monotonic() - start_s > writing_s, LOOK_EVERY_S)
    after, elapsed_s = usage.cpu_by_role(pids), time.monotonic() - start_s
    others = max(0.0, family.Cpu.now().others_s - others_s) / elapsed_s
    late_s = time.monotonic() + LATE_MAX_S
    follower.run(lambda: _all_arrived(one, jobs, production) or time.monotonic() > late_s, LOOK_EVERY_S)
    follower.close()
    return Load(
        percentile(follower.lags_ms, 0.5),
        percentile(follower.lags_ms, 0.99),
        max(follower.lags_ms),
        {role: (after[role] - before[role]) / elapsed_s * 100 for role in pids},
        others,
        sum(production.count - lines_in_order(one.log_path(job), one.header_bytes(job)) for job in jobs),
    )


def _all_arrived(one: Fleet, jobs: Sequence[Job], production: Production) -> bool:
    sizes = (one.log_path(job).stat().st_size - one.header_bytes(job) for job in jobs)
    return all(size >= production.count * STAMPED_BYTES for size in sizes)
