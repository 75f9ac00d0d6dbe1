"""Quantities as people write them: bytes (K M G T of 1024), durations ("1m30s"), percent, signals by name.

Each function takes what TOML may hold and returns the plain value, or raises ValueError with a sentence that says how
to write it. A bare number is bytes or seconds, also when it comes as text (`"${PORT}"` can only be text).
"""

import math
import re
from signal import Signals

_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)")
_BYTE_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")
_REALTIME = re.compile(r"RT(MIN\+|MAX-)([0-9]+)")
MAX_BYTES = 2**63 - 1
MAX_SECONDS = 100 * 365 * 86400.0

BYTES_PATTERN = _BYTES.pattern
DURATION_PATTERN = f"{_DURATION.pattern}|{_NUMBER.pattern}"
PERCENT_PATTERN = _PERCENT.pattern


def parse_bytes(raw: object) -> int:
    match raw:
        case bool():
            pass
        case int() if 0 <= raw <= MAX_BYTES:
            return raw
        case str() if (found := _BYTES.fullmatch(raw)) is not None:
            amount = float(found[1]) * _BYTE_FACTORS[found[2]]
            if amount <= MAX_BYTES:
                return int(amount)
    raise ValueError(f'{shown(raw)} is no amount of bytes: write a number, "64K", "8M" or "1.5G"')


def parse_duration(raw: object) -> float:
    seconds = _seconds(raw)
    if seconds is None or not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f'{shown(raw)} is no duration: write seconds, "250ms", "10s" or "1m30s"')
    return seconds


def _seconds(raw: object) -> float | None:
    match raw:
        case bool():
            return None
        case int() | float() if math.isfinite(raw):
            return float(raw)
        case str() if _NUMBER.fullmatch(raw):
            return float(raw)
        case str() if _DURATION.fullmatch(raw):
            parts = _DURATION_PART.findall(raw)
            return math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)
    return None


def parse_percent(raw: object) -> float:
    found = _PERCENT.fullmatch(raw) if isinstance(raw, str) else None
    if found is None or not 0 < float(found[1]) <= 1_000_000:
        raise ValueError(f'{shown(raw)} is no percentage: write "50%"')
    return float(found[1])


def parse_signal(raw: object) -> int:
    """TERM, SIGTERM, 15 and RTMIN+3 alike."""
    match raw:
        case bool():
            pass
        case int() if 1 <= raw <= Signals.SIGRTMAX:
            return raw
        case str():
            number = _signal_number(raw.removeprefix("SIG"))
            if number is not None:
                return number
    raise ValueError(f'{shown(raw)} is no signal: write "TERM", "INT", "RTMIN+3" or a number')


def _signal_number(name: str) -> int | None:
    if f"SIG{name}" in Signals.__members__:
        return int(Signals[f"SIG{name}"])
    found = _REALTIME.fullmatch(name)
    if found is None:
        return None
    distance = int(found[2])
    number = Signals.SIGRTMIN + distance if found[1] == "MIN+" else Signals.SIGRTMAX - distance
    return number if Signals.SIGRTMIN <= number <= Signals.SIGRTMAX else None


def signal_name(number: int) -> str:
    """The name with SIG; real-time signals count from SIGRTMIN."""
    if Signals.SIGRTMIN < number < Signals.SIGRTMAX:
        return f"SIGRTMIN+{number - Signals.SIGRTMIN}"
    return Signals(number).name


def power_of_two_at_least(amount: int) -> int:
    return 1 << max(amount - 1, 0).bit_length()


def shown(raw: object) -> str:
    """A wrong value as an error message quotes it: as TOML would write it, and not at full length."""
    text = str(raw)
    match raw:
        case bool():
            text = text.lower()
        case str():
            text = f'"{raw}"' if raw.isprintable() else repr(raw)
    return text if len(text) <= 60 else text[:57] + "…"
