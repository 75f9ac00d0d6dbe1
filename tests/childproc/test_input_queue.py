"""What waits to be read by the program: whole inputs, in order, bounded, no line that a terminal would cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from childproc.input_queue import CANONICAL_LINE_BYTES, CHUNKS_MAX, Chunk, InputQueue
from ipc.worker_messages import Refusal

ENDS = b"\n\r\x03\x04\x15\x1c\x1a"
LONGEST = b"a" * CANONICAL_LINE_BYTES


def queue(limit_bytes: int = 1 << 20) -> InputQueue:
    return InputQueue(limit_bytes)


def offer(to: InputQueue, data: bytes, line_ends: bytes | None = ENDS) -> Refusal | None:
    return to.offer(Chunk(1, 1, data), line_ends)


@pytest.mark.parametrize(
    ("inputs", "refusal"),
    [
        ([LONGEST + b"\n"], None),
        ([LONGEST + b"a\n"], Refusal.LINE_TOO_LONG),
        ([LONGEST + b"a"], Refusal.LINE_TOO_LONG),
        ([LONGEST, b"\n", LONGEST], None),
        ([LONGEST, b"a"], Refusal.LINE_TOO_LONG),
        ([LONGEST[:-1], b"a", b"\n"], None),
        ([b"x\n" + LONGEST + b"\ny", LONGEST[1:] + b"\n"], None),
        ([b"x\n" + LONGEST + b"\ny", LONGEST + b"\n"], Refusal.LINE_TOO_LONG),
        ([LONGEST, b"\x15", LONGEST], None),
        ([LONGEST, b"\x04", LONGEST], None),
        ([LONGEST + b"\r" + LONGEST], None),
    ],
)
def test_lines_of_a_canonical_terminal(inputs, refusal):
    """4095 bytes and their end go in; one more is refused, also when the line came in pieces."""
    into = queue()
    answers = [offer(into, data) for data in inputs]
    assert answers == [*[None] * (len(inputs) - 1), refusal]


def test_a_refused_line_leaves_no_trace():
    """The next input begins where the last accepted one ended."""
    into = queue()
    offer(into, b"abc")
    assert offer(into, LONGEST) is Refusal.LINE_TOO_LONG
    assert offer(into, LONGEST[3:] + b"\n") is None
    assert into.queued_bytes == CANONICAL_LINE_BYTES + 1


def test_without_lines_any_length_goes():
    """Raw mode; and what was typed raw is no part of a line that begins later."""
    into = queue()
    assert offer(into, LONGEST * 9, None) is None
    assert offer(into, LONGEST + b"\n") is None


def test_only_the_present_ends_end_a_line():
    """A return is no end where the terminal does not translate it."""
    assert offer(queue(), LONGEST + b"\r" + LONGEST, b"\n") is Refusal.LINE_TOO_LONG


@pytest.mark.parametrize("special", [b"]", b"^", b"\\", b"-"])
def test_any_character_may_be_an_end(special):
    """Whatever stty made of it."""
    assert offer(queue(), LONGEST + special + LONGEST, b"\n" + special) is None
    assert offer(queue(), LONGEST + b"q" + LONGEST, b"\n" + special) is Refusal.LINE_TOO_LONG


def test_full_by_bytes():
    """Exactly the limit fits; a refusal takes nothing."""
    into = queue(10)
    assert offer(into, b"123456", None) is None
    assert offer(into, b"12345", None) is Refusal.FULL
    assert offer(into, b"1234", None) is None
    assert into.queued_bytes == 10


def test_full_by_number():
    """Empty inputs cost memory too."""
    into = queue()
    assert [offer(into, b"", None) for _ in range(CHUNKS_MAX)] == [None] * CHUNKS_MAX
    assert offer(into, b"", None) is Refusal.FULL


@given(st.lists(st.binary(max_size=50), max_size=20), st.lists(st.integers(1, 40), max_size=100))
def test_bytes_come_out_as_they_went_in(inputs, steps):
    """Whatever pieces the program takes: in order, each chunk reported once, when its last byte is out."""
    into, taken, reported = queue(), b"", []
    for number, data in enumerate(inputs):
        assert into.offer(Chunk(0, number, data), None) is None
    while into:
        head = into.head()
        count = min(len(head), steps.pop() if steps else 40)
        taken += bytes(head[:count])
        if done := into.advance(count):
            reported.append(done)
            assert taken == b"".join(inputs[: done.id + 1])
        assert into.queued_bytes == sum(map(len, inputs)) - len(taken)
    assert taken == b"".join(inputs)
    assert [chunk.id for chunk in reported] == list(range(len(inputs)))


def test_discard_gives_back_everything_that_is_not_wholly_out():
    """Also the one that is half out, and the line that was begun is forgotten."""
    into = queue()
    offer(into, LONGEST)
    into.advance(10)
    assert [chunk.data for chunk in into.discard()] == [LONGEST]
    assert (into.queued_bytes, bool(into)) == (0, False)
    assert offer(into, LONGEST) is None
    assert into.head() == LONGEST
