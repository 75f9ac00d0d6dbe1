"""Records as a file holds them: each in a frame of its own, so that a kill or a bad sector costs what it hit.

    mark (4)   c1 'R' 'V' 'J'; msgpack never uses c1, and text rarely
    length (4) of the payload, little-endian
    crc (4)    of the payload
    payload    msgpack

Where a frame is not whole, reading goes on at the next mark that begins one; what was skipped is stated.
"""

from collections.abc import Iterator
from typing import Final
from zlib import crc32

from msgspec import Struct

MARK: Final = b"\xc1RVJ"
_HEAD_BYTES: Final = len(MARK) + 8
MAX_PAYLOAD_BYTES: Final = 1 << 20


class Skipped(Struct, frozen=True):
    """At the end of a file: a record that was being written when its writer was killed."""

    offset: int
    length: int


def framed(payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a record of {len(payload)} bytes; {MAX_PAYLOAD_BYTES} is the most")
    return b"".join((MARK, len(payload).to_bytes(4, "little"), crc32(payload).to_bytes(4, "little"), payload))


def unframed(data: bytes) -> Iterator[bytes | Skipped]:
    good_to = at = 0
    while (at := data.find(MARK, at)) >= 0:
        payload = _payload_at(data, at)
        if payload is None:
            at += 1
            continue
        if at > good_to:
            yield Skipped(good_to, at - good_to)
        yield payload
        good_to = at = at + _HEAD_BYTES + len(payload)
    if good_to < len(data):
        yield Skipped(good_to, len(data) - good_to)


def _payload_at(data: bytes, at: int) -> bytes | None:
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    payload = data[at + _HEAD_BYTES : at + _HEAD_BYTES + length]
    is_whole = len(payload) == length <= MAX_PAYLOAD_BYTES and at + _HEAD_BYTES <= len(data)
    return payload if is_whole and crc32(payload).to_bytes(4, "little") == data[at + 8 : at + 12] else None
