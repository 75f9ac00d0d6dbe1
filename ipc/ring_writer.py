"""The writing end of a ring: `arm` a window, read into it, `commit`; or `put` a frame that is there already.

A writer may attach only after the one before it was reaped. It goes on behind the last frame (ring_head), and commits
what its killed predecessor had read and had not (ring_armed).

It knows up to which frame and position it may go without looking at anything else. Only there it asks who reads,
gives up what is old (ring_tail), grows the ring, or has its program wait.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from ipc import ring_layout as at
from ipc.frames import STREAMS, Flag, Kind
from ipc.ordering import barrier
from ipc.ring_armed import KIND, SCRATCH, arm_scratch, arm_window, find_unfinished
from ipc.ring_head import Head
from ipc.ring_memory import RingMemory
from ipc.ring_tail import Tail

MIN_WINDOW_BYTES = at.PAGE_BYTES
_REFUSED_NS = 10**9  # to be refused growth costs as much as growth does: the full ring does not ask at each chunk


class RingWriter:
    """`resize(memory, data_bytes)` gives the next generation or None; `ring_bell(number)` wakes a reader."""

    __slots__ = (
        "_armed",
        "_armed_kind",
        "_clock_ns",
        "_frame_limit",
        "_grow_again_ns",
        "_head",
        "_limit",
        "_poison_end",
        "_resize",
        "_tail",
        "flags",
        "memory",
        "stalled",
    )

    def __init__(
        self,
        memory: RingMemory,
        *,
        board: memoryview,
        mirror_word: int,
        ring_bell: Callable[[int], None],
        clock_ns: Callable[[], int],
        resize: Callable[[RingMemory, int], RingMemory | None],
    ) -> None:
        self._clock_ns = clock_ns
        self._resize = resize
        self._armed = True  # perhaps, by the writer before this one
        self._armed_kind = 0
        self.stalled = False
        self.flags = 0
        self._grow_again_ns = 0
        memory.q[at.W_WAITING] = 0
        self._head = Head(memory, board=board, mirror_word=mirror_word, ring_bell=ring_bell, clock_ns=clock_ns)
        self._settle_in(memory)
        self._salvage()
        self._head.kick()

    def _settle_in(self, memory: RingMemory) -> None:
        self.memory = memory
        self._poison_end = 0
        self._tail = Tail(memory, self._head.audience, self._head.commit, self._head.pos)
        self._measure()

    def _salvage(self) -> None:
        """Commit what a killed writer had read and not committed."""
        head = self._head
        found = find_unfinished(self.memory, head.pos, head.seq)
        if found is None or not found.length:
            return
        if found.pos is None:
            head.drop(found.kind, found.length)
            return
        head.pos = found.pos
        self.memory.q[at.W_SALVAGED] += found.length
        head.append(found.kind, found.length, Flag.SALVAGED)

    @property
    def seq(self) -> int:
        return self._head.seq

    @property
    def epoch(self) -> int:
        return self._head.epoch

    @property
    def out_offset(self) -> int:
        return self._head.out_offset

    @property
    def err_offset(self) -> int:
        return self._head.err_offset

    @property
    def lost_bytes(self) -> int:
        return self._head.lost_bytes

    # --- writing ----------------------------------------------------------------------------------------------------

    def arm(self, kind: int, most_bytes: int) -> memoryview | None:
        """A poisoned window to read into, to be followed by `commit`. None: the ring is full and its program waits."""
        room = self._room(MIN_WINDOW_BYTES)
        if room < MIN_WINDOW_BYTES:
            room = self._make_room(MIN_WINDOW_BYTES, drop_oldest=self._drops_oldest())
            if room < MIN_WINDOW_BYTES:
                return self._arm_scratch(kind)
        pos = self._head.pos
        length = min(most_bytes, room)
        clean_to = self._poison_end
        if clean_to < pos + length:
            self._poison_end = pos + length
        self._armed = True
        self._armed_kind = kind
        return arm_window(self.memory, pos, length, kind, clean_to)

    def _arm_scratch(self, kind: int) -> memoryview | None:
        if self.memory.q[at.W_POLICY] == at.Policy.BLOCK and not self.stalled:
            return None
        self._armed = True
        self._armed_kind = kind | SCRATCH
        return arm_scratch(self.memory, self._head.seq, kind)

    def commit(self, length: int) -> None:
        """What was read into the armed window becomes a frame, or a counted loss."""
        kind = self._armed_kind
        if kind & SCRATCH:
            self._head.drop(kind & KIND, length)
        else:
            self._head.append(kind, length, self.flags)

    def put(self, kind: int, payload: bytes | memoryview, *, force: bool = False) -> bool:
        """Copy a frame in. False: no room, even (`force`) at the expense of the oldest."""
        head = self._head
        length = len(payload)
        if head.pos + length > self._limit or head.commit >= self._frame_limit:  # noqa: SIM102 - the hot path asks once
            if not self._has_room(length, force=force):
                return False
        memory = self.memory
        if self._armed:
            self._disarm()
        start = head.pos & memory.data_mask
        memory.data[start : start + length] = payload
        head.append(kind, length, 0)
        return True

    def put_all(self, kind: int, messages: Sequence[bytes]) -> int:
        """Copy in as many of these as there is room for, in order, each a frame of its own: how many that were. `kind`
        is a stream's. Those that lie side by side exist all at once."""
        if kind not in STREAMS:
            raise ValueError(f"frames of kind {kind} are no stream")
        done = 0
        while done < len(messages):
            some = self._those_that_fit(messages[done:])
            if not some:
                break
            self._put_some(kind, some)
            done += len(some)
        return done

    def _those_that_fit(self, messages: Sequence[bytes]) -> Sequence[bytes]:
        """In one piece, at the writing position."""
        if not self._has_room(len(messages[0]), force=False):
            return ()
        head = self._head
        some = messages[: self._frame_limit - head.commit]
        ends = list(accumulate(map(len, some), initial=head.pos))
        return some[: bisect_right(ends, self._limit) - 1]

    def _put_some(self, kind: int, messages: Sequence[bytes]) -> None:
        if self._armed:
            self._disarm()
        memory = self.memory
        payload = b"".join(messages)
        start = self._head.pos & memory.data_mask
        memory.data[start : start + len(payload)] = payload
        self._head.append_all(kind, messages)

    def _disarm(self) -> None:
        """Before anything is stored where a read was noted: it would be taken for what was read."""
        self._armed = False
        self.memory.q[at.W_ARMED] = 0

    def begin_epoch(self, epoch: int, payload: bytes, *, force: bool = False) -> bool:
        """Offsets start again at 0; seq goes on. False: no room, as with `put`."""
        if not self._has_room(len(payload), force=force):
            return False
        self._head.begin_epoch(epoch)
        return self.put(Kind.BEGIN, payload)

    # --- room -------------------------------------------------------------------------------------------------------

    def _has_room(self, length: int, *, force: bool) -> bool:
        if self._room(length) >= length:
            return True
        return self._make_room(length, drop_oldest=force or self._drops_oldest()) >= length

    def _drops_oldest(self) -> bool:
        return self.stalled or self.memory.q[at.W_POLICY] == at.Policy.DROP_OLDEST

    def _room(self, least_bytes: int) -> int:
        """Free bytes in one piece at the writing position, which skips a rest at the end that is too small. -1: not
        even an empty frame."""
        head = self._head
        if head.commit >= self._frame_limit:
            return -1
        if self._limit - head.pos < least_bytes:
            if self._wrap() - head.pos < least_bytes:
                head.pos = self._wrap()
            self._measure()
        return self._limit - head.pos

    def _measure(self) -> None:
        """The frame and the position that the writer may go up to without looking at anything else."""
        self._frame_limit = self._tail.frame + self.memory.slots
        self._limit = min(self._wrap(), self._tail.pos + self.memory.data_bytes)

    def _wrap(self) -> int:
        """The position at which the data area begins again."""
        return (self._head.pos | self.memory.data_mask) + 1

    def _make_room(self, least_bytes: int, *, drop_oldest: bool) -> int:
        self._reclaim(least_bytes, drop_oldest=drop_oldest)
        return self._room(least_bytes)

    def _reclaim(self, least_bytes: int, *, drop_oldest: bool) -> None:
        tail, audience = self._tail, self._head.look_who_reads()
        commit, pos = self._head.commit, self._head.pos
        target = tail.wanted(least_bytes, commit, pos)
        slowest = audience.slowest(commit)
        tail.note_lag(slowest, commit, pos)
        if slowest < target and self._grown():
            return
        gate = audience.slowest_gate()
        if gate is not None and not drop_oldest:
            target = min(target, gate)
        if target > tail.frame:
            tail.move(target, commit, pos, unread=slowest < target)
            self._measure()

    # --- size and waiting -------------------------------------------------------------------------------------------

    def _grown(self) -> bool:
        size = self.memory.data_bytes * 4
        most = self.memory.q[at.W_MOST_BYTES]
        if self.memory.data_bytes >= most or self._clock_ns() < self._grow_again_ns:
            return False
        if self.resize(min(size, most)):
            return True
        self._grow_again_ns = self._clock_ns() + _REFUSED_NS
        return False

    def resize(self, data_bytes: int) -> bool:
        """Go on in a ring of this size. Positions are the writer's own business, frame numbers and offsets go on."""
        self._head.store_tally()
        following = self._resize(self.memory, data_bytes)
        if following is None:
            return False
        following.q[at.W_RESIZES] += 1
        self._head.adopt(following)
        self._settle_in(following)
        return True

    def is_idle(self) -> bool:
        """Every reader has read everything."""
        commit = self._head.commit
        return self._head.look_who_reads().slowest(commit) == commit

    def prepare_wait(self, least_bytes: int = MIN_WINDOW_BYTES, *, for_much: bool = False) -> bool:
        """Before the writer sleeps on its own bell. False: there is room after all. `for_much`: the bell may wait until
        a quarter of the ring was read; to be woken for each run that a reader finishes costs more than the run."""
        self.memory.q[at.W_WAITING] = self._frame_of_much() if for_much else 1
        barrier()
        if self._make_room(least_bytes, drop_oldest=self._drops_oldest()) >= least_bytes:
            self.end_wait()
            return False
        self.memory.q[at.W_WAITS] += 1
        return True

    def _frame_of_much(self) -> int:
        head = self._head
        return max(1, self._tail.wanted(self.memory.data_bytes >> 2, head.commit, head.pos))

    def end_wait(self) -> None:
        self.memory.q[at.W_WAITING] = 0

    def slowest_gate(self) -> int | None:
        """How far the slowest of those has come that hold this ring back: what a stall is judged by."""
        return self._head.look_who_reads().slowest_gate()
