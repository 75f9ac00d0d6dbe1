"""`crash`: from the kill of a program to the moment when the daemon tells of it, and to the first line of the program
that it starts next, without any delay. The program itself says when it runs, so that no tool's output path is in it."""

import os
import random
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench import family
from tests.bench.compiled import compiled
from tests.bench.operated import Installation, Notice, Program
from tests.bench.options import Options
from tests.bench.our_daemon import RINGVISORD
from tests.bench.peers.pm2 import PM2
from tests.bench.peers.supervisord import SUPERVISORD_OPERATED
from tests.bench.rounds import interleaved, percentile, present
from tests.bench.table import Cell, Json, print_table

CRASHES = 200
PATIENCE_S = 30.0
MOST_S = 90.0  # for the crashes of one run
PAUSE_S = (0.03, 0.08)
HEADS = ("who", "crashes", "noticed p50 ms", "p99 ms", "restarted p50 ms", "p99 ms", "max ms", "version")


@dataclass(frozen=True, slots=True)
class Crashes:
    noticed_ms: list[float] = field(default_factory=list)
    restarted_ms: list[float] = field(default_factory=list)


def crash(options: Options) -> Json:
    able = present([RINGVISORD, SUPERVISORD_OPERATED, PM2], options.wants)
    title = "crash: kill -9 of a program to the news of it, and to the first line of the next one (no delay)"
    results = interleaved(title, able, options.runs, options.quiet_s, lambda one: _measure(one, options))
    versions = {one.name: one.version() for one in able}
    print_table(title, HEADS, [_row(name, found, versions[name]) for name, found in results.items()])
    return {title: {name: [asdict(one) for one in found] for name, found in results.items()}}


def _row(name: str, runs: Sequence[Crashes], version: str) -> list[Cell]:
    noticed = [ms for run in runs for ms in run.noticed_ms]
    restarted = [ms for run in runs for ms in run.restarted_ms]
    return [
        name,
        len(restarted),
        percentile(noticed, 0.5) if noticed else None,
        percentile(noticed, 0.99) if noticed else None,
        percentile(restarted, 0.5),
        percentile(restarted, 0.99),
        max(restarted),
        version,
    ]


def _measure(one: Installation, options: Options) -> Crashes:
    directory = Path(tempfile.mkdtemp(prefix="crash-", dir=options.work_dir))
    lines = _Lines(directory / "lines")
    argv = (str(compiled("first_line.c", options.work_dir)), str(lines.path))
    operator = one.launch([Program("crasher", argv, always=True)], directory)
    try:
        notice = operator.follow() if operator.follow else None
        try:
            return _crashes(lines, notice, max(10, int(CRASHES * options.scale)))
        finally:
            if notice:
                notice.close()
    finally:
        operator.stop()
        family.sweep()
        lines.close()
        shutil.rmtree(directory, ignore_errors=True)


def _crashes(lines: "_Lines", notice: Notice | None, count: int) -> Crashes:
    found = Crashes()
    pid, _ = lines.next()
    until_s = time.monotonic() + MOST_S
    while len(found.restarted_ms) < count and time.monotonic() < until_s:
        time.sleep(random.uniform(*PAUSE_S))
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        if notice:
            found.noticed_ms.append((notice.await_end() - killed_s) * 1000)
        pid, started_s = lines.next()
        found.restarted_ms.append((started_s - killed_s) * 1000)
    return found


class _Lines:
    """What the programs say through their FIFO: pid, and when they began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path, 0o600)
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._rest = b""

    def next(self) -> tuple[int, float]:
        while b"\n" not in self._rest:
            if not select.select([self._fd], [], [], PATIENCE_S)[0]:
                raise TimeoutError(f"no new program after {PATIENCE_S:.0f} s")
            self._rest += os.read(self._fd, 4096)
        line, _, self._rest = self._rest.partition(b"\n")
        pid, time_ns = line.split()
        return int(pid), int(time_ns) / 1e9

    def close(self) -> None:
        os.close(self._fd)
