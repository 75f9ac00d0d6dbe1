"""The codec of the index: what is written is read, and what is damaged is never taken for a record."""

from hypothesis import given
from hypothesis import strategies as st

from ipc.log_index import (
    RECORD_BYTES,
    Anchor,
    Cause,
    Check,
    Close,
    Header,
    Position,
    decode,
    decode_header,
    encode,
    encode_header,
    slots,
)

U64 = st.integers(0, 2**64 - 1)
POSITIONS = st.builds(Position, U64, U64)
RECORDS = st.one_of(
    st.builds(Anchor, U64, POSITIONS, U64, st.sampled_from(Cause), U64),
    st.builds(Check, U64, POSITIONS, U64, st.integers(0, 2**32 - 1)),
    st.builds(Close, U64, POSITIONS, U64),
)
NUMBERS = st.integers(0, 2**20)


@given(RECORDS, NUMBERS)
def test_a_record_is_read_as_it_was_written(record, number):
    """Of every kind, with any values."""
    raw = encode(record, number)
    assert len(raw) == RECORD_BYTES
    again = decode(raw, number)
    assert again == record
    assert type(again) is type(record)


@given(st.builds(Header, st.integers(0, 2**32 - 1), U64))
def test_a_header_is_read_as_it_was_written(header):
    """And is no record."""
    raw = encode_header(header)
    assert len(raw) == RECORD_BYTES
    assert decode_header(raw) == header
    assert decode(raw, 0) is None


@given(RECORDS, NUMBERS, st.integers(0, RECORD_BYTES * 8 - 1))
def test_a_flipped_bit_is_noticed(record, number, bit):
    """Wherever it is."""
    raw = bytearray(encode(record, number))
    raw[bit // 8] ^= 1 << bit % 8
    assert decode(bytes(raw), number) is None


@given(RECORDS, NUMBERS, st.integers(1, 65_535))
def test_a_record_in_another_ones_place_is_noticed(record, number, away):
    """One that was removed moves all that follow."""
    assert decode(encode(record, number), number + away) is None


@given(st.lists(RECORDS, max_size=5), st.integers(0, RECORD_BYTES - 1), st.data())
def test_a_torn_end_is_no_record(records, torn, data):
    """Whole ones before it are read; a damaged one among them leaves a hole."""
    raw = b"".join(encode(record, number) for number, record in enumerate(records, 1))
    last = encode(data.draw(RECORDS), len(records) + 1)
    assert list(slots(raw + last[:torn], 1)) == records
    assert list(slots(raw + bytes(RECORD_BYTES), 1)) == [*records, None]


def test_no_bytes_and_zeroes_are_no_header():
    """An index that was created and not written, or lost its blocks with the power."""
    assert decode_header(b"") is None
    assert decode_header(bytes(RECORD_BYTES)) is None
    assert decode_header(encode_header(Header(1, 2))[:-1]) is None
