"""`idle`: many sessions that do nothing: memory, wake-ups and CPU of the installation, and the time to start it."""

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import family, ours, usage
from tests.bench.fleet import Fleet, Io, Job
from tests.bench.installed import tool
from tests.bench.options import Options
from tests.bench.peers.supervisord import SUPERVISORD
from tests.bench.peers.tmux import TMUX
from tests.bench.rounds import interleaved, median, present
from tests.bench.table import Json, print_table

SESSIONS = 1000
WATCHED_S = 10.0
SETTLE_S = 3.0
START_MAX_S = 180.0
HEADS = ("who", "role", "processes", "PSS MB each", "PSS MB all", "wake-ups/s", "CPU %", "start s", "version")


@dataclass(frozen=True, slots=True)
class Role:
    processes: int
    pss_mb_each: float
    pss_mb_all: float
    wakeups_per_s: float
    cpu_percent: float


@dataclass(frozen=True, slots=True)
class Idleness:
    start_s: float
    roles: Mapping[str, Role]


def idle(options: Options) -> Json:
    sessions = options.sessions or SESSIONS
    mine = ours.fleet()
    able = present([*([mine] if mine else []), SUPERVISORD, TMUX], options.wants)
    title = f"idle: {sessions} sessions of `sleep infinity`, watched for {WATCHED_S:.0f} s"
    results = interleaved(title, able, options.runs, options.quiet_s, lambda one: _measure(one, sessions, options))
    versions = {one.name: one.version() for one in able}
    rows = [
        _row(name, role, [one.roles[role] for one in found if role in one.roles], found, versions[name])
        for name, found in results.items()
        for role in found[0].roles
    ]
    print_table(title, HEADS, rows)
    return {title: {name: [asdict(one) for one in found] for name, found in results.items()}}


def _row(
    name: str, role: str, seen: Sequence[Role], found: Sequence[Idleness], version: str
) -> list[str | float | int]:
    return [
        name,
        role,
        seen[0].processes,
        median(one.pss_mb_each for one in seen),
        median(one.pss_mb_all for one in seen),
        median(one.wakeups_per_s for one in seen),
        median(one.cpu_percent for one in seen),
        median(one.start_s for one in found),
        version,
    ]


def _measure(one: Fleet, sessions: int, options: Options) -> Idleness:
    directory = Path(tempfile.mkdtemp(prefix="idle-", dir=options.work_dir))
    argv = (str(tool("sleep")), "infinity")
    jobs = [Job(f"s{n}", argv, directory / f"s{n}.log", Io.PTY) for n in range(sessions)]
    try:
        began_s = time.monotonic()
        one.start(jobs, directory)
        _wait_for_sleepers(argv, sessions)
        start_s = time.monotonic() - began_s
        time.sleep(SETTLE_S)
        return Idleness(start_s, _watched(one.pids()))
    finally:
        one.stop()
        family.sweep()
        shutil.rmtree(directory, ignore_errors=True)


def _wait_for_sleepers(argv: Sequence[str], sessions: int) -> None:
    deadline_s = time.monotonic() + START_MAX_S
    while len(family.running(argv)) < sessions:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not all of {sessions} programs run after {START_MAX_S:.0f} s")
        time.sleep(0.05)


def _watched(pids: Mapping[str, Sequence[int]]) -> dict[str, Role]:
    """Memory comes after the watch: reading smaps of a thousand processes is work."""
    cpu, wakeups, start_s = usage.cpu_by_role(pids), _wakeups(pids), time.monotonic()
    time.sleep(WATCHED_S)
    seconds = time.monotonic() - start_s
    cpu_after, wakeups_after = usage.cpu_by_role(pids), _wakeups(pids)
    return {
        role: _role(members, (wakeups_after[role] - wakeups[role]) / seconds, (cpu_after[role] - cpu[role]) / seconds)
        for role, members in pids.items()
        if members
    }


def _wakeups(pids: Mapping[str, Sequence[int]]) -> dict[str, int]:
    return {role: usage.wakeups(members) for role, members in pids.items()}


def _role(members: Sequence[int], wakeups_per_s: float, cpu: float) -> Role:
    pss_mb = [one.pss_kb / 1024 for one in usage.memories(members)]
    return Role(len(members), sum(pss_mb) / max(1, len(pss_mb)), sum(pss_mb), wakeups_per_s, cpu * 100)
