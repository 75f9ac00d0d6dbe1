"""Points in time as an operator writes them. Pure: the present is passed in."""

import re
from datetime import UTC, datetime, timedelta

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
HOW = '"10m" (ago), "14:30", "2026-01-31" or "2026-01-31T14:30:00"'


def parse_moment(text: str, now: datetime) -> datetime:
    """`now` has a time zone, which is that of what is written without one. ValueError: nobody can tell."""
    match text:
        case "now":
            return now
        case "today":
            return _midnight(now)
        case "yesterday":
            return _midnight(now) - timedelta(days=1)
    if clock := _CLOCK.fullmatch(text):
        hour, minute, second = (int(part or 0) for part in clock.groups())
        return now.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if text[:4].isdigit() and "-" in text:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)
    from config.units import parse_duration  # noqa: PLC0415 - config is imported where it is used

    return now - timedelta(seconds=parse_duration(text))


def nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def iso(wall_ns: int) -> str:
    """As status has times: UTC, milliseconds."""
    moment = datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_ns // 1_000_000 % 1000:03d}Z"
