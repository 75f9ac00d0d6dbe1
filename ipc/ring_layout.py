"""The memory map of a ring, and nothing else. Little endian; every word is an aligned u64 with exactly one writer.

      0x0000  magic                      stored last by the creator: without it there is no ring
      0x0008  version | header bytes     two u32
      0x0010  data bytes                 a power of two
      0x0018  slots                      descriptors, a power of two
      0x0020  generation                 counts the resizes of this ring, from 1
      0x0028  base frame                 the first frame of this generation
      0x0030  policy                     Policy
      0x0038  least bytes                the bounds between which the ring
      0x0040  most bytes                 may grow and shrink
      0x0080  COMMIT          writer     frames that exist; the one word that makes data exist
      0x00C0  OLDEST          writer     first frame that is still whole; stored before anything is overwritten
      0x0100  ARMED           writer     the read in progress: position << 3 | scratch << 2 | kind
      0x0108  ARMED_BYTES     writer     how many bytes from there on are poisoned
      0x0110  NEXT_GENERATION writer     not 0: COMMIT is final, go on in the next generation
      0x0118  TALLY_SELECT    writer     which of the two tallies holds
      0x0120  tally[2]        writer     6 words each: seq, epoch, out offset, err offset, lost frames, lost bytes
      0x0180  WAITING         writer     the frame up to which a reader must come to ring its bell, or 0
      0x0188  READERS_SEEN    writer     READERS_STAMP as it was when the writer last looked who reads
      0x01C0  writer's pid, start time, high water bytes, waits, bells rung, resizes, salvaged bytes, stalled since
      0x0200  INPUT_OFFSET    writer     bytes that the program's terminal or stdin has taken in this epoch
      0x0208  INPUT_ARMED     writer     bytes in the write that was in progress, 0 for none
      0x0240  READERS_STAMP   readers    a new value each time a reader comes or goes
      0x0248  FOLLOWERS       router     1: somebody follows with a cursor of his own; the live bell wakes him
      0x0400  reader[8]       128 bytes each, written by that reader:
                 +0x00  CURSOR      frames finished: the one word that frees space
                 +0x08  PIN         frame + 1 of the oldest frame in use right now, 0 for none
                 +0x10  state       ReaderState
                 +0x18  bell        which bell of the board wakes this reader
                 +0x20  lost frames, +0x28 lost bytes, as this reader saw them
                 +0x30  pid
      0x1000  slots x 64 bytes of descriptors
        ...   data bytes
        ...   one page of scratch: what a full ring that drops its newest reads into

      Descriptor:  0 position u64 | 8 time u64 (CLOCK_MONOTONIC ns) | 16 seq u64 | 24 offset u64 | 32 length u32
                   36 kind u16 | 38 flags u16 | 40 epoch u32 | 44 run u32 | 48 other offset u64 | 56 zero u64

seq counts every chunk that was read and offset every byte of the frame's stream in its epoch, dropped ones
included: a jump is a loss, in its place and of its exact size. `other offset` is where the session's other stream
stood, so that one descriptor is enough to rebuild a writer. Frames with the same `run` lie side by side in memory
and in the stream: a reader finds the largest contiguous piece by looking at two descriptors. A frame never crosses
the end of the data area: where less than a page is left the writer begins again at the front.
"""

import struct
from enum import IntEnum

MAGIC = int.from_bytes(b"RINGVISR", "little")
VERSION = 1
OLDEST = 1  # that is read, and moved to this one by the next writer
HEADER_BYTES = 0x1000
PAGE_BYTES = 0x1000
DESCRIPTOR_BYTES = 64
DESCRIPTOR = struct.Struct("<QQQQIHHIIQQ")
FRAME = struct.Struct("<QQQQI28s")  # the same, with what the frames of a run have in common as one piece
RUN = struct.Struct("<HHIIQQ")  # that piece
MIN_DATA_BYTES = 0x10000
POISON = 0xFD  # never part of valid UTF-8


class Policy(IntEnum):
    """What a full ring does to its program. The values stand in shared memory."""

    BLOCK = 0
    DROP_OLDEST = 1
    DROP_NEWEST = 2


class ReaderState(IntEnum):
    FREE = 0
    LOSSY = 1
    GATING = 2  # the program may be held back for it


class ReaderSlot(IntEnum):
    """Who reads by cursor in shared memory; everybody else keeps a cursor of their own and may be lapped."""

    LOG = 0
    TYPED = 1
    SPARE = 2


# Word numbers, for use on a view cast to 'Q'.
W_MAGIC = 0x000 // 8
W_VERSION = 0x008 // 8
W_DATA_BYTES = 0x010 // 8
W_SLOTS = 0x018 // 8
W_GENERATION = 0x020 // 8
W_BASE_FRAME = 0x028 // 8
W_POLICY = 0x030 // 8
W_LEAST_BYTES = 0x038 // 8
W_MOST_BYTES = 0x040 // 8
W_COMMIT = 0x080 // 8
W_OLDEST = 0x0C0 // 8
W_ARMED = 0x100 // 8
W_ARMED_BYTES = 0x108 // 8
W_NEXT_GENERATION = 0x110 // 8
W_TALLY_SELECT = 0x118 // 8
W_TALLY = 0x120 // 8
TALLY_WORDS = 6
W_WAITING = 0x180 // 8
W_READERS_SEEN = 0x188 // 8
W_WRITER_PID = 0x1C0 // 8
W_WRITER_STARTED = 0x1C8 // 8
W_HIGH_WATER = 0x1D0 // 8
W_WAITS = 0x1D8 // 8
W_BELLS_RUNG = 0x1E0 // 8
W_RESIZES = 0x1E8 // 8
W_SALVAGED = 0x1F0 // 8
W_STALLED_SINCE = 0x1F8 // 8
W_INPUT_OFFSET = 0x200 // 8
W_INPUT_ARMED = 0x208 // 8
W_READERS_STAMP = 0x240 // 8
W_FOLLOWERS = 0x248 // 8

READERS = 8
_READER_BASE = 0x400 // 8
_READER_WORDS = 128 // 8
R_CURSOR = 0
R_PIN = 1
R_STATE = 2
R_BELL = 3
R_LOST_FRAMES = 4
R_LOST_BYTES = 5
R_PID = 6


def reader_word(slot: int, word: int) -> int:
    return _READER_BASE + slot * _READER_WORDS + word


def version_word() -> int:
    return VERSION | HEADER_BYTES << 32


def slots_for(data_bytes: int) -> int:
    """One descriptor for each 256 bytes: a ring of short lines and one of full reads both use their data area well."""
    return data_bytes // 256


def segment_bytes(data_bytes: int) -> int:
    return HEADER_BYTES + slots_for(data_bytes) * DESCRIPTOR_BYTES + data_bytes + PAGE_BYTES


def power_of_two_at_least(size_bytes: int) -> int:
    return max(MIN_DATA_BYTES, 1 << (size_bytes - 1).bit_length())
