"""`ring`: messages between two processes, by size; and the half round trip of a single one."""

from collections.abc import Sequence
from dataclasses import asdict

from tests.bench import ours
from tests.bench.channel import Transport
from tests.bench.exchange import Rate, half_trip, one_way
from tests.bench.options import Options
from tests.bench.rounds import interleaved, median, present
from tests.bench.table import Json, print_table, ratio
from tests.bench.transports import OS_PIPE, RIVALS

SIZES_BYTES = (16, 64, 1024, 4096, 65536)
CALIBRATION_COUNT = 2000
RUN_S = 0.4
MAX_COUNT = 2_000_000
TRIPS = 3000
RATE_HEADS = ("who", "k msg/s", "MB/s", "of os.pipe", "our best / it", "sender us", "receiver us", "version")
TRIP_HEADS = ("who", "half trip p50 us", "p99 us", "of os.pipe", "it / ours", "version")


def ring(options: Options) -> Json:
    mine = [one for one in (ours.transport(), ours.gathering_transport()) if one is not None]
    able: Sequence[Transport] = present([OS_PIPE, *mine, *RIVALS], options.wants)
    versions = {one.name: one.version() for one in able}
    found: Json = {f"{size} B": _rates(size, able, versions, options) for size in SIZES_BYTES}
    found["ping-pong 64 B"] = _trips([one for one in able if not one.gathers], versions, options)
    return found


def _rates(size_bytes: int, able: Sequence[Transport], versions: dict[str, str], options: Options) -> Json:
    """As many messages as fit in the time that a first, uncounted exchange promises; then the rounds."""
    title = f"ring: {size_bytes} B messages between two processes"
    tried = interleaved(
        title + ", warm-up", able, 1, 0.0, lambda one: one_way(one, options.work_dir, size_bytes, CALIBRATION_COUNT)
    )
    counts = {name: _count(first[0], options.scale) for name, first in tried.items()}
    ready = [one for one in able if one.name in counts]
    results = interleaved(
        title,
        ready,
        options.runs,
        options.quiet_s,
        lambda one: one_way(one, options.work_dir, size_bytes, counts[one.name]),
    )
    rates = {name: median(one.messages_per_s for one in found) for name, found in results.items()}
    best = max((rates[name] for name in rates if name.startswith(ours.NAME)), default=None)
    rows = [
        [
            name,
            rates[name] / 1e3,
            median(one.mb_per_s for one in found),
            ratio(rates[name], rates.get(OS_PIPE.name)),
            ratio(best, rates[name]),
            median(one.sender_us for one in found),
            median(one.receiver_us for one in found),
            versions[name],
        ]
        for name, found in results.items()
    ]
    print_table(title, RATE_HEADS, rows)
    return {name: [asdict(one) for one in found] for name, found in results.items()}


def _count(first: Rate, scale: float) -> int:
    return max(CALIBRATION_COUNT, min(MAX_COUNT, int(first.messages_per_s * RUN_S * scale)))


def _trips(able: Sequence[Transport], versions: dict[str, str], options: Options) -> Json:
    title = "ring: ping-pong of 64 B messages, half a round trip"
    count = max(100, int(TRIPS * options.scale))
    results = interleaved(
        title, able, options.runs, options.quiet_s, lambda one: half_trip(one, options.work_dir, 64, count)
    )
    p50_us = {name: median(one.p50_us for one in found) for name, found in results.items()}
    rows = [
        [
            name,
            p50_us[name],
            median(one.p99_us for one in found),
            ratio(p50_us[name], p50_us.get(OS_PIPE.name)),
            ratio(p50_us[name], p50_us.get(ours.NAME)),
            versions[name],
        ]
        for name, found in results.items()
    ]
    print_table(title, TRIP_HEADS, rows)
    return {name: [asdict(one) for one in found] for name, found in results.items()}
