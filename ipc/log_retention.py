"""When a log is rotated, and which of its rotated parts have to go. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

_NS = 1_000_000_000
_DAY_NS = 86_400 * _NS
_Log = TypeVar("_Log")


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of the rotated parts. None: no limit."""

    keep: int | None = None
    max_age_s: float | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LogPolicy:
    max_bytes: int | None = None  # size at which a part is full
    interval_s: float | None = None  # rotate a part that is this old
    daily: bool = False  # rotate at midnight ...
    utc_offset_s: int = 0  # ... of this time zone
    stamped: bool = False  # keep a second file, whose lines begin with a time stamp
    mode: int = 0o640


@dataclass(frozen=True, slots=True)
class RotatedPart:
    number: int
    size_bytes: int
    ended_ns: int


def rotation_due(policy: LogPolicy, born_ns: int, now_ns: int) -> bool:
    """By time; by size is a matter of room, see `room_bytes`."""
    if policy.interval_s is not None and now_ns - born_ns >= policy.interval_s * _NS:
        return True
    return policy.daily and _day(policy, now_ns) > _day(policy, born_ns)


def room_bytes(policy: LogPolicy, size_bytes: int, wanted_bytes: int) -> int:
    """How many of these bytes still go into a part of this size. An empty part takes one byte at least."""
    if policy.max_bytes is None:
        return wanted_bytes
    return min(wanted_bytes, max(policy.max_bytes - size_bytes, 0 if size_bytes else 1))


def doomed(parts: Sequence[RotatedPart], retention: Retention, now_ns: int) -> list[RotatedPart]:
    """Which parts to delete, oldest first. Always the oldest: a log has no hole in its middle."""
    newest_first = sorted(parts, key=lambda part: part.number, reverse=True)
    kept_bytes = 0
    for kept, part in enumerate(newest_first):
        kept_bytes += part.size_bytes
        if _too_much(retention, kept + 1, kept_bytes, now_ns - part.ended_ns):
            return newest_first[kept:][::-1]
    return []


def oldest_first(rotated: Mapping[_Log, Sequence[RotatedPart]]) -> Iterator[tuple[_Log, RotatedPart]]:
    """The parts of many logs in the order in which they may go: by age, but none before the older ones of its log."""
    aged = []
    for log, parts in rotated.items():
        by_number = sorted(parts, key=lambda part: part.number)
        ended_ns = accumulate((part.ended_ns for part in by_number), max)
        aged += [(at_ns, log, part) for at_ns, part in zip(ended_ns, by_number, strict=True)]
    aged.sort(key=lambda one: one[0])
    return ((log, part) for _, log, part in aged)


def _too_much(retention: Retention, count: int, size_bytes: int, age_ns: int) -> bool:
    return (
        (retention.keep is not None and count > retention.keep)
        or (retention.max_bytes is not None and size_bytes > retention.max_bytes)
        or (retention.max_age_s is not None and age_ns > retention.max_age_s * _NS)
    )


def _day(policy: LogPolicy, wall_ns: int) -> int:
    return (wall_ns + policy.utc_offset_s * _NS) // _DAY_NS
