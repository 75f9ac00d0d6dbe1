"""The reading ends of a ring.

`RingReader` has its cursor in the ring: what it has not finished is kept for it, or counted as its loss, and a
reader that was killed is followed by one that goes on where the cursor stands. It works in place: a run is pinned
while it is in use, so that its memory is not overwritten under a `writev` that hangs.

`Follower` has its cursor for itself and may be lapped: it copies, and looks at OLDEST again before it trusts the
copy.

Both tell losses from the offsets alone: the stream offset of a run counts dropped bytes too.
"""

import struct
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import NamedTuple

from ipc import ring_layout as at
from ipc.errors import RingCorrupt
from ipc.frames import Kind
from ipc.ordering import barrier, settle
from ipc.ring_memory import Descriptor, RingMemory

_SMALL_BYTES = 512


class Run(NamedTuple):
    """Frames that lie side by side in memory and in their stream."""

    first: int
    end: int
    kind: int
    flags: int
    epoch: int
    offset: int  # of its stream; for control frames where OUT stands
    other_offset: int
    seq: int
    time_ns: int
    view: memoryview


def locate_run(memory: RingMemory, first: int, commit: int, most_bytes: int) -> Run:
    """The longest run from this frame on, cut at a frame's border once it has `most_bytes`."""
    head = memory.descriptor(first)
    end = _run_end(memory, first, commit, head.run)
    last = memory.descriptor(end - 1)
    length = last.pos + last.length - head.pos
    if length > most_bytes:
        end = memory.first_frame_from(head.pos + most_bytes, first + 1, end)
        last = memory.descriptor(end - 1)
        length = last.pos + last.length - head.pos
    start = head.pos & (memory.data_bytes - 1)
    view = memory.data[start : start + length]
    return Run(
        first, end, head.kind, head.flags, head.epoch, head.offset, head.other_offset, head.seq, head.time_ns, view
    )


def _run_end(memory: RingMemory, first: int, commit: int, run: int) -> int:
    if memory.run_of(commit - 1) == run:
        return commit
    low, high = first + 1, commit - 1
    while low < high:
        middle = (low + high) // 2
        if memory.run_of(middle) == run:
            low = middle + 1
        else:
            high = middle
    return low


def _check(run: Run, memory: RingMemory) -> Run:
    if not 0 <= len(run.view) <= memory.data_bytes or run.end <= run.first:
        raise RingCorrupt(f"frames {run.first} to {run.end} with {len(run.view)} bytes")
    return run


class RingReader:
    """`following(generation)` maps the ring's generation behind this one, `ring_writer()` wakes a writer that waits for
    room, and `stamp()` gives a new number each time (a clock does)."""

    __slots__ = ("_base", "_bell", "_following", "_pid", "_q", "_ring_writer", "_stamp", "_state", "cursor", "memory")

    def __init__(
        self,
        memory: RingMemory,
        slot: int,
        *,
        bell: int,
        gating: bool,
        pid: int,
        stamp: Callable[[], int],
        following: Callable[[int], RingMemory],
        ring_writer: Callable[[], None],
    ) -> None:
        self._base = at.reader_word(slot, 0)
        self._following = following
        self._ring_writer = ring_writer
        self._bell = bell
        self._pid = pid
        self._stamp = stamp
        self._state = int(at.ReaderState.GATING if gating else at.ReaderState.LOSSY)
        was_here = memory.q[self._base + at.R_STATE] != at.ReaderState.FREE
        self.cursor = 0 if was_here else memory.q[at.W_OLDEST]
        self._attach(memory)

    def _attach(self, memory: RingMemory) -> None:
        """Whoever had this slot before may have come further in a new generation than the old one says."""
        self.memory = memory
        self._q = q = memory.q
        base = self._base
        if q[base + at.R_STATE] != at.ReaderState.FREE:
            self.cursor = max(self.cursor, q[base + at.R_CURSOR])
        q[base + at.R_PIN] = 0
        q[base + at.R_CURSOR] = self.cursor
        q[base + at.R_BELL] = self._bell
        q[base + at.R_PID] = self._pid
        q[base + at.R_STATE] = self._state
        q[at.W_READERS_STAMP] = self._stamp()
        self._wake_writer()

    def detach(self) -> None:
        """Give the slot up for good: nothing is kept for this reader any more."""
        self._give_up(self._q)
        while self._q[at.W_NEXT_GENERATION]:
            self.memory = self._following(self.memory.generation)
            self._q = self.memory.q
            self._give_up(self._q)

    def _give_up(self, q: memoryview) -> None:
        q[self._base + at.R_PIN] = 0
        q[self._base + at.R_STATE] = int(at.ReaderState.FREE)
        q[at.W_READERS_STAMP] = self._stamp()
        self._wake_writer()

    def has_news(self) -> bool:
        """Frames that were not read, or a next generation to go on in."""
        return self._q[at.W_COMMIT] != self.cursor or self._q[at.W_NEXT_GENERATION] != 0

    def next_run(self, most_bytes: int) -> Run | None:
        """Pinned until `finish` or `unpin`. None: nothing new."""
        if self._q[at.W_NEXT_GENERATION]:
            self.follow_generation()
        q = self._q
        if self.cursor == q[at.W_COMMIT]:
            return None
        first = self._pin(self.cursor)
        commit = q[at.W_COMMIT]
        settle()
        if first >= commit:
            self.unpin()
            if first > q[at.W_COMMIT]:
                raise RingCorrupt(f"cursor {first} is ahead of commit {commit}")
            return None
        return _check(locate_run(self.memory, first, commit, most_bytes), self.memory)

    def _pin(self, first: int) -> int:
        """Pin, then look whether it was in time: the writer stores OLDEST, passes a barrier, then looks for pins. It
        spares itself the barrier where every reader it knows of has read on: one that it has not seen pays instead."""
        q = self._q
        while True:
            q[self._base + at.R_PIN] = first + 1
            if q[at.W_READERS_SEEN] != q[at.W_READERS_STAMP]:
                barrier()
            oldest = q[at.W_OLDEST]
            if oldest <= first:
                return first
            q[self._base + at.R_LOST_FRAMES] += oldest - first
            self.cursor = first = oldest

    def finish(self, run: Run) -> None:
        """The sink has taken the bytes: their room may be used again."""
        q, base = self._q, self._base
        self.cursor = run.end
        q[base + at.R_CURSOR] = run.end
        q[base + at.R_PIN] = 0
        if 0 < q[at.W_WAITING] <= run.end:
            self._ring_writer()

    def frames(self, run: Run) -> list[bytes] | list[memoryview]:
        """The frames of a run, each as a buffer of its own: for streams whose frames are messages. Small ones of equal
        length are copied: to make an object that shows memory costs twice as much."""
        view, lengths = run.view, self.memory.lengths(run.first, run.end)
        length = lengths[0]
        if 0 < length <= _SMALL_BYTES and lengths.count(length) == len(lengths):
            return [message for (message,) in struct.iter_unpack(f"{length}s", view)]
        return [view[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]

    def unpin(self) -> None:
        """The sink could not take them: they stay, unless the ring's policy says otherwise."""
        self._q[self._base + at.R_PIN] = 0
        self._wake_writer()

    def count_lost_bytes(self, lost_bytes: int) -> None:
        self._q[self._base + at.R_LOST_BYTES] += lost_bytes

    def follow_generation(self) -> None:
        settle()
        self._attach(self._following(self.memory.generation))

    def _wake_writer(self) -> None:
        """Only the writer itself says that it waits no longer: a reader that said so and died before it rang would
        leave it asleep."""
        if self._q[at.W_WAITING]:
            self._ring_writer()


class Lapped(NamedTuple):
    """Frames up to `oldest` are gone."""

    oldest: int


class Copied(NamedTuple):
    run: Run
    data: bytes


class Follower:
    """Hands out copies at cursors that their readers keep. Never holds a program back; its bell is the live one."""

    __slots__ = ("_following", "_stamp", "memory")

    def __init__(self, memory: RingMemory, *, following: Callable[[int], RingMemory], stamp: Callable[[], int]) -> None:
        self._following = following
        self._stamp = stamp
        self._follow(memory)

    def _follow(self, memory: RingMemory) -> None:
        self.memory = memory
        self._announce(1)

    def _announce(self, followers: int) -> None:
        self.memory.q[at.W_FOLLOWERS] = followers
        self.memory.q[at.W_READERS_STAMP] = self._stamp()

    def detach(self) -> None:
        self._announce(0)

    @property
    def newest(self) -> int:
        return self.memory.q[at.W_COMMIT]

    def has_moved(self) -> bool:
        return self.memory.q[at.W_NEXT_GENERATION] != 0

    def standing(self) -> tuple[int, int]:
        """Epoch and offset of OUT behind the newest frame."""
        q = self.memory.q
        if q[at.W_COMMIT] == self.memory.base_frame:
            tally = self.memory.tally()
            return tally.epoch, tally.out_offset
        newest = self.memory.descriptor(q[at.W_COMMIT] - 1)
        return newest.epoch, _out_end(newest)

    def seek(self, epoch: int, offset: int) -> int:
        """The first frame that holds this place of OUT or lies behind it."""
        low, high = self.memory.q[at.W_OLDEST], self.newest
        while low < high:
            middle = (low + high) // 2
            frame = self.memory.descriptor(middle)
            end = frame.epoch, _out_end(frame)
            if end < (epoch, offset) or (end == (epoch, offset) and frame.kind == Kind.OUT):
                low = middle + 1
            else:
                high = middle
        return low

    def next_copy(self, cursor: int, most_bytes: int) -> Copied | Lapped | None:
        if self.memory.q[at.W_NEXT_GENERATION]:
            self._follow_generation()
        q = self.memory.q
        commit = q[at.W_COMMIT]
        if cursor >= commit:
            return None
        settle()
        if q[at.W_OLDEST] > cursor:
            return Lapped(q[at.W_OLDEST])
        run = locate_run(self.memory, cursor, commit, most_bytes)
        data = bytes(run.view)
        settle()
        if q[at.W_OLDEST] > cursor:
            return Lapped(q[at.W_OLDEST])
        return Copied(_check(run, self.memory), data)

    def _follow_generation(self) -> None:
        settle()
        self._follow(self._following(self.memory.generation))


def _out_end(frame: Descriptor) -> int:
    """Where OUT stands behind this frame."""
    if frame.kind == Kind.ERR:
        return frame.other_offset
    return frame.offset + frame.length if frame.kind == Kind.OUT else frame.offset
