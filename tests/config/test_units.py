import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.units import (
    parse_bytes,
    parse_duration,
    parse_percent,
    parse_signal,
    power_of_two_at_least,
    shown,
    signal_name,
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(0, 0), (1024, 1024), ("64K", 65536), ("8M", 8 << 20), ("1.5G", 3 << 29), ("2T", 2 << 40), ("100", 100)],
)
def test_bytes(raw: object, expected: int) -> None:
    """K, M, G and T count in 1024, and a bare number is bytes."""
    assert parse_bytes(raw) == expected


@pytest.mark.parametrize(
    "raw", [-1, True, 1.5, "", "64k", "64KB", "64 K", "-1K", "K", "1e3", "9999999T", 2**63, None, "٣"]
)
def test_no_bytes(raw: object) -> None:
    """Whatever else is refused with an example of how to write it."""
    with pytest.raises(ValueError, match='is no amount of bytes: write a number, "64K"'):
        parse_bytes(raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (0, 0.0),
        (1.5, 1.5),
        ("10", 10.0),
        ("250ms", 0.25),
        ("10s", 10.0),
        ("1m30s", 90.0),
        ("1d2h3m4s", 93784.0),
        ("1.5h", 5400.0),
    ],
)
def test_duration(raw: object, expected: float) -> None:
    """Units and sums of them, and a bare number is seconds."""
    assert parse_duration(raw) == pytest.approx(expected)


@pytest.mark.parametrize(
    "raw", [-1, True, math.nan, math.inf, "", "10 s", "s", "1w", "-1s", "1m 30s", 1e300, None, "9" * 400]
)
def test_no_duration(raw: object) -> None:
    """Nor is anything without a known unit, or longer than a century."""
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(raw)


def test_percent() -> None:
    """A percentage is written with its sign."""
    assert (parse_percent("50%"), parse_percent("150%"), parse_percent("0.5%")) == (50.0, 150.0, 0.5)
    for raw in (50, "50", "0%", "-1%", "%", "5%%", True):
        with pytest.raises(ValueError, match='is no percentage: write "50%"'):
            parse_percent(raw)


def test_signals() -> None:
    """A signal goes by its name, with or without SIG, by number, and counted from either end of the real-time ones."""
    assert [parse_signal(raw) for raw in ("TERM", "SIGINT", 9, "RTMIN+3", "RTMAX-1")] == [15, 2, 9, 37, 63]
    assert [signal_name(number) for number in (15, 37, 64)] == ["SIGTERM", "SIGRTMIN+3", "SIGRTMAX"]
    for raw in ("term", "FOO", 0, 65, True, "RTMIN+99", "SIG", "SIG_DFL", None):
        with pytest.raises(ValueError, match="is no signal"):
            parse_signal(raw)


@given(st.integers(1, 64).filter(lambda number: number not in (32, 33)))
def test_every_signal_has_a_name_that_is_read_back(number: int) -> None:
    """What we print, we can read."""
    assert parse_signal(signal_name(number)) == number


@given(st.integers(1, 2**40))
def test_power_of_two(size: int) -> None:
    """The smallest power of two that is not smaller."""
    rounded = power_of_two_at_least(size)
    assert rounded & (rounded - 1) == 0
    assert size <= rounded < 2 * size


def test_shown() -> None:
    """A wrong value is quoted as TOML writes it, and cut where it is long."""
    assert (shown("x"), shown(True), shown(3), shown("a\nb")) == ('"x"', "true", "3", "'a\\nb'")
    assert len(shown("y" * 1000)) < 70


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.binary())
def test_nothing_but_value_errors(raw: object) -> None:
    """Whatever a file may hold, a quantity is parsed or refused; nothing else happens."""
    for parse in (parse_bytes, parse_duration, parse_percent, parse_signal):
        with contextlib.suppress(ValueError):
            assert parse(raw) >= 0
