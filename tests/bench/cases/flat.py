"""`flat`: does memory grow with the bytes that pass? One session writes, memory is sampled, a line is fitted.

A slope that is smaller than twice its own standard error is noise. The first tenth is left out: buffers fill once."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import family, gate, ours, usage
from tests.bench.compiled import compiled
from tests.bench.fleet import Fleet, Io, Job
from tests.bench.options import Options
from tests.bench.peers.supervisord import SUPERVISORD
from tests.bench.producer import BLOCK_BYTES, Production, Shape
from tests.bench.rounds import interleaved, note, present
from tests.bench.table import Json, print_table

READY_MAX_S = 60.0
SAMPLES = 100  # at the rate that is hoped for; a slower tool gives more
HOPED_BYTES_PER_S = 150e6
SLOWEST_BYTES_PER_S = 5e6
ROTATE_BYTES = 64 << 20
HEADS = ("who", "role", "samples", "RSS MB first", "last", "PSS MB first", "last", "PSS KB/GB", "+-", "verdict", "MB/s")


@dataclass(frozen=True, slots=True)
class Sample:
    gigabytes: float
    rss_kb: int
    pss_kb: int


@dataclass(frozen=True, slots=True)
class Course:
    """What one run gave: the samples of each role over the bytes the producer has written."""

    seconds: float
    roles: dict[str, list[Sample]]


def flat(options: Options) -> Json:
    mine = ours.fleet()
    able = present([*([mine] if mine else []), SUPERVISORD], options.wants)
    title = (
        f"flat: memory over {options.total_bytes / 1e9:g} GB of output, one session, parts of {ROTATE_BYTES >> 20} MB"
    )
    results = interleaved(title, able, 1, options.quiet_s, lambda one: _measure(one, options))
    rows = [
        _row(name, role, samples, options.total_bytes / course.seconds / 1e6)
        for name, (course,) in results.items()
        for role, samples in course.roles.items()
        if len(samples) > 3
    ]
    print_table(title, HEADS, rows)
    return {title: {name: asdict(found[0]) for name, found in results.items()}}


def _row(name: str, role: str, samples: Sequence[Sample], mb_per_s: float) -> list[str | float | int]:
    slope, error = fitted(samples[len(samples) // 10 :])
    first, last = samples[0], samples[-1]
    sizes_mb = [kb / 1024 for kb in (first.rss_kb, last.rss_kb, first.pss_kb, last.pss_kb)]
    verdict = "flat" if slope < 2 * error or slope < 1 else "grows"
    return [name, role, len(samples), *sizes_mb, slope, error, verdict, mb_per_s]


def fitted(samples: Sequence[Sample]) -> tuple[float, float]:
    """Least squares: PSS in KB for each GB, and the standard error of that."""
    at, kb = [one.gigabytes for one in samples], [float(one.pss_kb) for one in samples]
    slope, start = statistics.linear_regression(at, kb)
    residual = sum((y - start - slope * x) ** 2 for x, y in zip(at, kb, strict=True))
    spread = sum((x - statistics.fmean(at)) ** 2 for x in at)
    return slope, (residual / max(1, len(at) - 2) / spread) ** 0.5


def _measure(one: Fleet, options: Options) -> Course:
    directory = Path(tempfile.mkdtemp(prefix="flat-", dir=options.work_dir))
    each = gate.Gate.made(directory, "s0")
    production = Production(Shape.BLOCKS, max(1, options.total_bytes // BLOCK_BYTES), terminal=True)
    argv = production.argv(compiled("produce.c", options.work_dir), each.path, each.stamp_path)
    job = Job("s0", argv, directory / "s0.log", Io.PTY, ROTATE_BYTES)
    try:
        one.start([job], directory)
        gate.wait_for_producers([each], READY_MAX_S)
        return _sampled(one, each, argv, options.total_bytes)
    finally:
        each.open()
        one.stop()
        family.sweep()
        shutil.rmtree(directory, ignore_errors=True)


def _sampled(one: Fleet, each: gate.Gate, argv: Sequence[str], total_bytes: int) -> Course:
    (program,) = family.running(argv)
    every_s = total_bytes / HOPED_BYTES_PER_S / SAMPLES
    deadline_s = time.monotonic() + total_bytes / SLOWEST_BYTES_PER_S + 10
    roles: dict[str, list[Sample]] = {}
    each.open()
    while (stamp := each.stamp()) is None:
        if time.monotonic() > deadline_s:
            raise TimeoutError("slower than 5 MB/s")
        time.sleep(every_s)
        if not (written := usage.written_bytes(program)):
            continue
        note(f"flat: {one.name}: {written / 1e9:.1f} of {total_bytes / 1e9:g} GB")
        for role, members in one.pids().items():
            seen = usage.memories(members)
            sample = Sample(written / 1e9, sum(m.rss_kb for m in seen), sum(m.pss_kb for m in seen))
            roles.setdefault(role, []).append(sample)
    return Course(stamp.end_s - stamp.start_s, roles)
