"""When what died is started again."""

from supervisor.keeper.backoff import MAX_DELAY_S, STEADY_S, Backoff


def delays(*lives_s: float) -> list[float]:
    backoff, found = Backoff(), []
    for lived_s in lives_s:
        backoff = backoff.after_death(lived_s)
        found.append(backoff.delay_s)
    return found


def test_at_once_the_first_time_then_twice_as_long():
    """One crash costs nothing, a crash loop costs less and less."""
    assert delays(0, 0, 0, 0) == [0, 0.05, 0.1, 0.2]


def test_never_longer_than_the_limit():
    """However often it dies."""
    assert delays(*[0.0] * 2000)[-1] == MAX_DELAY_S


def test_one_that_lived_long_is_started_at_once():
    """A steady life wipes the slate."""
    assert delays(0, 0, 0, STEADY_S, 0) == [0, 0.05, 0.1, 0, 0.05]
