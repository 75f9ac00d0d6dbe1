"""When to rotate and what to delete, decided from values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.log_retention import LogPolicy, Retention, RotatedPart, doomed, room_bytes, rotation_due

_NS = 1_000_000_000
DAY = 86_400


def parts(*sizes_and_ages):
    return [RotatedPart(n, size, -age * _NS) for n, (size, age) in enumerate(sizes_and_ages, 1)]


@pytest.mark.parametrize(
    ("retention", "gone"),
    [
        (Retention(), []),
        (Retention(keep=2), [1, 2]),
        (Retention(keep=0), [1, 2, 3, 4]),
        (Retention(max_age_s=25), [1, 2]),
        (Retention(max_bytes=200), [1, 2]),
        (Retention(max_bytes=199), [1, 2, 3]),
        (Retention(keep=3, max_bytes=200, max_age_s=1000), [1, 2]),
    ],
)
def test_what_is_too_much_goes_oldest_first(retention, gone):
    """By number, age and size, whichever is reached first."""
    four = parts((100, 40), (100, 30), (100, 20), (100, 10))
    assert [part.number for part in doomed(four, retention, 0)] == gone


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(-5, 99)), max_size=8),
    st.builds(
        Retention,
        st.none() | st.integers(0, 9),
        st.none() | st.floats(0, 99),
        st.none() | st.integers(0, 400),
    ),
)
def test_what_is_kept_is_the_newest_and_within_its_limits(sizes_and_ages, retention):
    """No hole in the middle, no limit broken, nothing deleted without need."""
    all_parts = parts(*sizes_and_ages)
    going = doomed(all_parts, retention, 0)
    assert going == all_parts[: len(going)]
    kept = all_parts[len(going) :]
    assert _within(kept, retention)
    if going:
        assert not _within(all_parts[len(going) - 1 :], retention)


def _within(kept, retention):
    return (
        (retention.keep is None or len(kept) <= retention.keep)
        and (retention.max_bytes is None or sum(part.size_bytes for part in kept) <= retention.max_bytes)
        and (retention.max_age_s is None or all(-part.ended_ns <= retention.max_age_s * _NS for part in kept))
    )


def test_rotation_by_interval_counts_from_the_parts_birth():
    """To the nanosecond."""
    policy = LogPolicy(interval_s=60)
    assert not rotation_due(policy, 5, 5 + 60 * _NS - 1)
    assert rotation_due(policy, 5, 5 + 60 * _NS)
    assert not rotation_due(LogPolicy(), 0, 10**20)


@pytest.mark.parametrize("utc_offset_s", [0, 3600, -5 * 3600])
def test_daily_rotation_is_at_local_midnight(utc_offset_s):
    """And not when the clock is set back over it."""
    policy = LogPolicy(daily=True, utc_offset_s=utc_offset_s)
    midnight = (20_000 * DAY - utc_offset_s) * _NS
    assert not rotation_due(policy, midnight - 5, midnight - 1)
    assert rotation_due(policy, midnight - 5, midnight)
    assert not rotation_due(policy, midnight, midnight - 5)


@given(st.integers(1, 1000), st.integers(0, 2000), st.integers(1, 2000))
def test_a_part_is_filled_to_its_size_and_never_beyond(max_bytes, size, wanted):
    """What is too large already takes nothing more."""
    room = room_bytes(LogPolicy(max_bytes=max_bytes), size, wanted)
    assert 0 <= room <= wanted
    assert size + room <= max(max_bytes, size)
    assert room or size >= max_bytes
