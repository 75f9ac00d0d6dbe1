"""Frames survive any cut of the stream, and a lying length is refused at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.errors import ProtocolError
from ipc.framing import Deframer, frame


@given(st.lists(st.binary(max_size=50), max_size=20), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_any_cut_gives_the_same_payloads(payloads: list[bytes], cuts: list[int]) -> None:
    """The pieces in which a stream arrives mean nothing."""
    stream = b"".join(map(frame, payloads))
    deframer = Deframer(50)
    found: list[bytes] = []
    turn = 0
    while stream:
        cut = cuts[turn % len(cuts)]
        found += deframer.feed(stream[:cut])
        stream = stream[cut:]
        turn += 1
    assert found == payloads
    assert deframer.is_between_frames


def test_a_length_beyond_the_limit_is_refused_before_its_bytes_come() -> None:
    """Nobody makes us collect a gigabyte."""
    with pytest.raises(ProtocolError, match="at most 10"):
        Deframer(10).feed((11).to_bytes(4, "little"))
