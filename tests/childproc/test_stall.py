"""A ring waits for a reader that moves, however slowly, and not for ever for one that does not."""

from hypothesis import given
from hypothesis import strategies as st

from childproc.stall import StallClock

MAX_S = 30.0


def waiting(gate: int = 7) -> StallClock:
    clock = StallClock(MAX_S)
    clock.wait(gate, 0.0)
    return clock


def test_expires_after_the_time_without_a_step():
    """At the deadline, not before."""
    clock = waiting()
    assert (clock.deadline_s, clock.expired(29.9), clock.expired(30.0)) == (MAX_S, False, True)


def test_full_again_without_a_step_is_the_same_wait():
    """A bell that made no difference does not start the time again."""
    clock = waiting()
    clock.wait(7, 20.0)
    assert clock.expired(30.0)


def test_a_step_starts_the_time_again():
    """Waiting is measured from the reader's last step."""
    clock = waiting()
    clock.wait(8, 20.0)
    assert not clock.expired(49.9)
    assert clock.expired(50.0)


def test_stalled_until_the_reader_moves():
    """Then it is waited for again, for the whole time."""
    clock = waiting()
    clock.expired(30.0)
    assert clock.look(7)
    assert not clock.look(8)
    clock.wait(8, 100.0)
    assert not clock.expired(129.9)


def test_a_reader_that_is_gone_is_a_step_too():
    """Nobody gates any more: nothing to wait for."""
    clock = waiting()
    clock.expired(30.0)
    assert not clock.look(None)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 20)), min_size=1))
def test_never_stalled_before_the_time_is_over(waits):
    """Whatever the reader does: a stall means that it stood still for the whole time."""
    clock, now_s, moved_s, last_gate = StallClock(MAX_S), 0.0, 0.0, None
    for gate, pause_s in waits:
        now_s += pause_s
        if clock.expired(now_s):
            assert now_s - moved_s >= MAX_S
            return
        if gate != last_gate:
            last_gate, moved_s = gate, now_s
        clock.wait(gate, now_s)
