"""Which sessions a router leaves alone: three deaths within a minute, and for how long."""

from hypothesis import given
from hypothesis import strategies as st

from ipc.quarantine import ASIDE_NS, NO_RECORD, WINDOW_NS, Record, after_death, decode, is_aside

SECOND_NS = 10**9
BOOT_NS = 1000 * SECOND_NS


def after_deaths(*times_ns: int, record: Record = NO_RECORD) -> Record:
    for time_ns in times_ns:
        record = after_death(record, time_ns)
    return record


def test_two_deaths_prove_nothing() -> None:
    record = after_deaths(BOOT_NS, BOOT_NS + 1)
    assert not is_aside(record, BOOT_NS + 1)


def test_the_third_death_within_a_minute_sets_aside_for_a_minute() -> None:
    """From then on, to the nanosecond; and then the session is served again."""
    last_ns = BOOT_NS + WINDOW_NS
    record = after_deaths(BOOT_NS, BOOT_NS + 1, last_ns)
    assert is_aside(record, last_ns)
    assert is_aside(record, last_ns + ASIDE_NS - 1)
    assert not is_aside(record, last_ns + ASIDE_NS)


def test_deaths_further_apart_never_set_aside() -> None:
    """Three in a minute and a nanosecond are not three in a minute, however long it goes on."""
    step_ns = WINDOW_NS // 2 + 1
    record = after_deaths(*(BOOT_NS + step_ns * number for number in range(100)))
    assert not is_aside(record, BOOT_NS + step_ns * 100)


def test_after_a_quarantine_it_takes_three_new_deaths() -> None:
    """A session that is served again starts with a clean record."""
    record = after_deaths(BOOT_NS, BOOT_NS, BOOT_NS)
    back_ns = BOOT_NS + ASIDE_NS
    record = after_deaths(back_ns, back_ns, record=record)
    assert not is_aside(record, back_ns)
    assert is_aside(after_death(record, back_ns), back_ns)


def test_a_record_survives_its_words() -> None:
    """As it is stored on the board: three deaths, then until when."""
    assert decode([1, 2, 3, 4]) == Record((1, 2, 3), 4)
    assert decode([0, 0, 0, 0]) == NO_RECORD


@given(st.lists(st.integers(0, 3 * WINDOW_NS), min_size=1, max_size=30))
def test_set_aside_means_three_deaths_in_the_window(pauses_ns: list[int]) -> None:
    """For any history: aside right after a death exactly when this death and two uncounted ones lie in one minute."""
    record, now_ns, uncounted = NO_RECORD, BOOT_NS, []
    for pause_ns in pauses_ns:
        now_ns += pause_ns
        record = after_death(record, now_ns)
        uncounted = [*uncounted, now_ns][-3:]
        if len(uncounted) == 3 and now_ns - uncounted[0] <= WINDOW_NS:
            assert record == Record((0, 0, 0), now_ns + ASIDE_NS)
            uncounted = []
        else:
            assert record.deaths_ns[2] == now_ns
