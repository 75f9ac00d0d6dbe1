"""When output has ended: leader and output are two facts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from childproc.ending import Ending
from ipc.frames import EndReason

LINGER_S, HELD_BYTES, GONE_S, AT_DEATH = 0.5, 1000, 100.0, 50


def ended() -> Ending:
    ending = Ending(LINGER_S, HELD_BYTES)
    ending.leader_ended(GONE_S, AT_DEATH)
    return ending


@given(st.booleans(), st.booleans(), st.integers(0, 10**9), st.floats(0, 1e9))
def test_as_long_as_the_leader_lives_output_goes_on(empty, sources_open, position, now_s):
    """Even with every fd closed: the leader may open its terminal again."""
    ending = Ending(LINGER_S, HELD_BYTES)
    assert not ending.leader_gone
    assert ending.verdict(empty=empty, sources_open=sources_open, position_bytes=position, now_s=now_s) is None


@pytest.mark.parametrize(
    ("empty", "sources_open", "read_bytes", "waited_s", "reason"),
    [
        (True, False, 0, 0.0, EndReason.EOF),
        (True, False, 10**6, 9.0, EndReason.EOF),
        (False, False, 0, 9.0, None),  # one source has ended, the ring is full of another
        (True, True, 0, 0.49, None),
        (True, True, 0, 0.5, EndReason.DRAINED),
        (False, True, 0, 9.0, None),  # the leader's own last bytes stand in the kernel still
        (False, True, HELD_BYTES - 1, 9.0, None),
        (False, True, HELD_BYTES, 9.0, EndReason.DRAINED),  # an orphan that never stops
        (False, True, HELD_BYTES, 0.49, None),
    ],
)
def test_after_the_leader(empty, sources_open, read_bytes, waited_s, reason):
    """The end is certain, or the linger is over and everything of the leader's was read."""
    verdict = ended().verdict(
        empty=empty, sources_open=sources_open, position_bytes=AT_DEATH + read_bytes, now_s=GONE_S + waited_s
    )
    assert verdict is reason


@given(st.integers(0, 10**6), st.floats(0, 1000))
def test_what_is_left_in_the_kernel_is_never_cut_off(read_bytes, waited_s):
    """DRAINED needs proof: nothing left, or more than the kernel can hold."""
    verdict = ended().verdict(
        empty=False, sources_open=True, position_bytes=AT_DEATH + read_bytes, now_s=GONE_S + waited_s
    )
    assert verdict is None or read_bytes >= HELD_BYTES
