"""What a frame of a ring is: its kinds, and the few bytes that control frames carry."""

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple


class Kind(IntEnum):
    """OUT and ERR carry the program's bytes; the others are facts about the stream, in their right place in it."""

    OUT = 1  # the terminal's output, or stdout
    ERR = 2  # stderr of a session on pipes
    BEGIN = 3  # an epoch begins
    END = 4  # its output has ended
    RESIZE = 5  # the terminal has a new size from here on


STREAMS = (Kind.OUT, Kind.ERR)


class Flag(IntFlag):
    NONE = 0
    SALVAGED = 1  # read by a worker that was killed before it could commit
    ORPHAN = 2  # written after the session's leader had ended


class EndReason(IntEnum):
    EOF = 1  # every holder of the other end has closed it
    DRAINED = 2  # the leader is gone, nothing was left to read, and somebody still holds the other end
    FAILED = 3  # reading failed; the frame's errno says how


class Begin(NamedTuple):
    wall_ns: int
    cols: int
    rows: int


class End(NamedTuple):
    reason: EndReason
    errno: int


class Resize(NamedTuple):
    cols: int
    rows: int


_BEGIN = struct.Struct("<QHHI")
_PAIR = struct.Struct("<HH")


def encode_begin(begin: Begin) -> bytes:
    return _BEGIN.pack(begin.wall_ns, begin.cols, begin.rows, 0)


def decode_begin(payload: bytes | memoryview) -> Begin:
    wall_ns, cols, rows, _ = _BEGIN.unpack(payload)
    return Begin(wall_ns, cols, rows)


def encode_end(end: End) -> bytes:
    return _PAIR.pack(end.reason, end.errno)


def decode_end(payload: bytes | memoryview) -> End:
    reason, errno = _PAIR.unpack(payload)
    return End(EndReason(reason), errno)


def encode_resize(size: Resize) -> bytes:
    return _PAIR.pack(size.cols, size.rows)


def decode_resize(payload: bytes | memoryview) -> Resize:
    return Resize(*_PAIR.unpack(payload))
