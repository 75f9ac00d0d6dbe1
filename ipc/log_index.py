"""The index that lies beside each log part: which byte of which stream stands where in the file.

A log file holds the program's bytes and nothing else, so what they are is written down beside them:

    web.log       b y t e s   b y t e s | b y t e s ...
    web.log.idx   HEADER  Anchor  Check  Check  Anchor  Check ... Close

Header and records are 48 bytes each, little-endian; the last four are the crc32 of the 44 before them.

    header   8s magic | H version | H record size | I part number | Q made at (ns) | 20 zero bytes | I crc
    record   B kind | B cause | H number | Q file offset | Q epoch | Q stream offset | Q time (ns) | Q value | I crc

* An Anchor is written *before* the bytes it is about. It says that the stream goes on with this epoch and offset at
  this place of the file, and why that needs saying. Value: the bytes of the stream that were lost just before it.
* A Check is written *after* bytes, for each 64 KiB and each second in which there were any. It vouches for everything
  since the record before it. Value: the digest of those bytes, XXH3 with 64 bits: it runs at the speed of memory, where
  a crc32 took a third of the router's time.
* Close is the last record of a part that is complete.

Every record carries the full position, so the last one and the size of the file give the position of the file's end:
whatever lies behind the last record is the stream's continuation, since anything else had needed an Anchor first.
That is what an exact restart after SIGKILL rests on, and why no byte may be written before the Anchor about it is.

A record's number is its place in the file (mod 65536): one that was removed or swapped is noticed. The size of the
file is a multiple of 48 unless the last write was torn; what is torn is cut off before the next record is written.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

MAGIC = b"RVLOGIDX"
VERSION = 1
RECORD_BYTES = 48
CHECK_BYTES = 64 * 1024
_NUMBER_MASK = 0xFFFF

_HEADER = struct.Struct("<8sHHIQ20x")
_RECORD = struct.Struct("<BBHQQQQQ")
_CRC = struct.Struct("<I")


class Position(NamedTuple):
    """A place in a stream, before the byte at `offset`. Positions compare: a later epoch is further on."""

    epoch: int
    offset: int


NOWHERE = Position(0, 0)  # epochs count from 1


class Cause(IntEnum):
    """Why an Anchor was needed."""

    START = 1  # the part begins
    EPOCH = 2  # the program was started again
    GAP = 3  # bytes of the stream never reached the log
    TRUNCATED = 4  # somebody cut the file
    FOREIGN = 5  # somebody else wrote to the file: what lies between is not ours
    RESUMED = 6  # a new writer found bytes behind the last record, and takes them for the stream's
    REPLACED = 7  # the file is another one: nothing in it is ours
    CLEARED = 8  # cut by us, because the operator asked for it


_ANCHOR, _CHECK, _CLOSE = 1, 2, 3  # kinds of records
_CAUSES = frozenset(map(int, Cause))


class Anchor(NamedTuple):
    file_offset: int
    position: Position
    time_ns: int
    cause: Cause
    gap_bytes: int = 0


class Check(NamedTuple):
    file_offset: int
    position: Position
    time_ns: int
    digest: int


class Close(NamedTuple):
    file_offset: int
    position: Position
    time_ns: int


Record = Anchor | Check | Close


@dataclass(frozen=True, slots=True)
class Header:
    part: int
    time_ns: int


def encode_header(header: Header) -> bytes:
    return _sealed(_HEADER.pack(MAGIC, VERSION, RECORD_BYTES, header.part, header.time_ns))


def decode_header(raw: bytes) -> Header | None:
    body = _unsealed(raw[:RECORD_BYTES])
    if body is None:
        return None
    magic, version, record_bytes, part, time_ns = _HEADER.unpack(body)
    if (magic, version, record_bytes) != (MAGIC, VERSION, RECORD_BYTES):
        return None
    return Header(part, time_ns)


def encode(record: Record, number: int) -> bytes:
    match record:
        case Check():
            kind, why, value = _CHECK, 0, record.digest
        case Anchor():
            kind, why, value = _ANCHOR, int(record.cause), record.gap_bytes
        case Close():
            kind, why, value = _CLOSE, 0, 0
    epoch, offset = record.position
    return _sealed(
        _RECORD.pack(kind, why, number & _NUMBER_MASK, record.file_offset, epoch, offset, record.time_ns, value)
    )


def decode(raw: bytes, number: int) -> Record | None:
    """None: torn, damaged, or not the record with this number."""
    body = _unsealed(raw)
    if body is None:
        return None
    kind, cause, stored_number, file_offset, epoch, offset, time_ns, value = _RECORD.unpack(body)
    if stored_number != number & _NUMBER_MASK:
        return None
    position = Position(epoch, offset)
    if kind == _CHECK:
        return Check(file_offset, position, time_ns, value)
    if kind == _ANCHOR and cause in _CAUSES:
        return Anchor(file_offset, position, time_ns, Cause(cause), value)
    return Close(file_offset, position, time_ns) if kind == _CLOSE else None


def slots(raw: bytes, first_number: int = 0) -> Iterator[Record | None]:
    """Each whole record of these bytes, or None where one is damaged."""
    for at in range(0, len(raw) - RECORD_BYTES + 1, RECORD_BYTES):
        yield decode(raw[at : at + RECORD_BYTES], first_number + at // RECORD_BYTES)


def _sealed(body: bytes) -> bytes:
    return body + _CRC.pack(crc32(body))


def _unsealed(raw: bytes) -> bytes | None:
    if len(raw) != RECORD_BYTES:
        return None
    body = raw[: -_CRC.size]
    return body if _CRC.unpack_from(raw, len(body))[0] == crc32(body) else None
