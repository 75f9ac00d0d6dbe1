"""A ring's memory as words, descriptors and bytes: what writer and readers have in common. Works on any buffer."""

from typing import NamedTuple

from ipc import ring_layout as at
from ipc.errors import RingCorrupt, RingVersion
from ipc.ordering import settle

# Where the first descriptor has its position, on a view cast to 'Q', its length and its run, on one cast to 'I'.
_FIRST_POS = at.HEADER_BYTES // 8
_FIRST_LENGTH = at.HEADER_BYTES // 4 + 8
_FIRST_RUN = at.HEADER_BYTES // 4 + 11


class Descriptor(NamedTuple):
    pos: int
    time_ns: int
    seq: int
    offset: int
    length: int
    kind: int
    flags: int
    epoch: int
    run: int
    other_offset: int
    zero: int


class Tally(NamedTuple):
    """Where the streams stand when the last descriptor does not say it: after drops, and in a new generation."""

    seq: int
    epoch: int
    out_offset: int
    err_offset: int
    lost_frames: int
    lost_bytes: int


class RingMemory:
    """Views on one generation of a ring. The mapping goes when the last view of it is dropped."""

    __slots__ = (
        "base_frame",
        "buffer",
        "data",
        "data_bytes",
        "data_mask",
        "data_start",
        "generation",
        "halves",
        "q",
        "scratch",
        "slot_mask",
        "slots",
    )

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.q = buffer[: len(buffer) & ~7].cast("Q")
        self._check()
        self.data_bytes = self.q[at.W_DATA_BYTES]
        self.slots = self.q[at.W_SLOTS]
        self.data_mask = self.data_bytes - 1
        self.slot_mask = self.slots - 1
        self.generation = self.q[at.W_GENERATION]
        self.base_frame = self.q[at.W_BASE_FRAME]
        self.data_start = at.HEADER_BYTES + self.slots * at.DESCRIPTOR_BYTES
        data_end = self.data_start + self.data_bytes
        self.data = buffer[self.data_start : data_end]
        self.scratch = buffer[data_end : data_end + at.PAGE_BYTES]
        self.halves = buffer[: len(buffer) & ~7].cast("I")

    @property
    def version(self) -> int:
        return self.q[at.W_VERSION] & 0xFFFFFFFF

    def _check(self) -> None:
        q = self.q
        if len(self.buffer) < at.HEADER_BYTES or q[at.W_MAGIC] != at.MAGIC:
            raise RingCorrupt("not a ring, or one whose creation was never finished")
        if not at.OLDEST <= self.version <= at.VERSION or q[at.W_VERSION] >> 32 != at.HEADER_BYTES:
            raise RingVersion(f"ring layout version {self.version}, this is version {at.VERSION}")
        data_bytes, slots = q[at.W_DATA_BYTES], q[at.W_SLOTS]
        if data_bytes < at.MIN_DATA_BYTES or data_bytes & (data_bytes - 1) or slots != at.slots_for(data_bytes):
            raise RingCorrupt(f"impossible sizes: {data_bytes} bytes, {slots} descriptors")
        if len(self.buffer) < at.segment_bytes(data_bytes):
            raise RingCorrupt(f"the file has {len(self.buffer)} bytes, its header needs {at.segment_bytes(data_bytes)}")
        self._check_counters()

    def _check_counters(self) -> None:
        """While their writer counts on: OLDEST is never ahead of a COMMIT that was loaded after it."""
        q = self.q
        base, oldest = q[at.W_BASE_FRAME], q[at.W_OLDEST]
        settle()
        commit = q[at.W_COMMIT]
        if not base <= oldest <= commit or commit - q[at.W_OLDEST] > q[at.W_SLOTS]:
            raise RingCorrupt(f"impossible counters: base {base}, oldest {oldest}, commit {commit}")

    def descriptor(self, frame: int) -> Descriptor:
        place = at.HEADER_BYTES + (frame & self.slot_mask) * at.DESCRIPTOR_BYTES
        return Descriptor._make(at.DESCRIPTOR.unpack_from(self.buffer, place))

    def pos_of(self, frame: int) -> int:
        return self.q[_FIRST_POS + (frame & self.slot_mask) * 8]

    def run_of(self, frame: int) -> int:
        return self.halves[_FIRST_RUN + (frame & self.slot_mask) * 16]

    def lengths(self, first: int, end: int) -> list[int]:
        """Of the frames in [first, end)."""
        start, stop = first & self.slot_mask, end & self.slot_mask
        lengths = self.halves[_FIRST_LENGTH : self.data_start // 4 : 16]
        if start < stop:
            return lengths[start:stop].tolist()
        return lengths[start:].tolist() + lengths[:stop].tolist()

    def first_frame_from(self, pos: int, low: int, high: int) -> int:
        """The first frame in [low, high) that starts at or behind this position; high if there is none."""
        q, mask = self.q, self.slot_mask
        while low < high:
            middle = (low + high) // 2
            if q[_FIRST_POS + (middle & mask) * 8] < pos:
                low = middle + 1
            else:
                high = middle
        return low

    def tally(self) -> Tally:
        base = at.W_TALLY + (self.q[at.W_TALLY_SELECT] & 1) * at.TALLY_WORDS
        return Tally(*self.q[base : base + at.TALLY_WORDS])

    def store_tally(self, tally: Tally) -> None:
        """Six words change as one: the other record is filled, then selected."""
        q = self.q
        other = 1 - (q[at.W_TALLY_SELECT] & 1)
        base = at.W_TALLY + other * at.TALLY_WORDS
        for index, value in enumerate(tally):
            q[base + index] = value
        q[at.W_TALLY_SELECT] = other


def initial_header(
    data_bytes: int, *, least_bytes: int, most_bytes: int, policy: at.Policy, generation: int = 1
) -> bytearray:
    """A header for an empty ring, complete but for the magic, which its creator stores last."""
    header = bytearray(at.HEADER_BYTES)
    words = memoryview(header).cast("Q")
    words[at.W_VERSION] = at.version_word()
    words[at.W_DATA_BYTES] = data_bytes
    words[at.W_SLOTS] = at.slots_for(data_bytes)
    words[at.W_GENERATION] = generation
    words[at.W_POLICY] = policy
    words[at.W_LEAST_BYTES] = least_bytes
    words[at.W_MOST_BYTES] = most_bytes
    words.release()
    return header
