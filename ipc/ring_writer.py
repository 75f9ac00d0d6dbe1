"""The writing end of a ring: `arm` a window, read into it, `commit`.

A frame exists once COMMIT counts it, and COMMIT is one aligned store; everything beyond it is garbage by
definition, so a SIGKILL at any instruction leaves nothing to repair. What the ring alone cannot save are bytes that
the kernel had handed over to `readv` and nobody committed: `arm` fills the window with poison and notes where it
lies, and the next writer finds, between that place and the first poison that follows it, exactly the bytes that
were read (`_salvage`). The one doubt is binary output that ends in poison bytes itself.

The ring keeps its history: read frames stay until their room is needed, an eighth of the ring at a time
(`_reclaim`). OLDEST is stored before anything is overwritten, and a frame that a reader has pinned is never
overwritten, whatever the policy: a reader that hangs in the middle of a write costs new bytes, counted, but never
hands out wrong ones.

A writer may attach only after the one before it was reaped.
"""

from collections.abc import Callable

from ipc import ring_layout as at
from ipc.board import LIVE_BELL, sleeping_word
from ipc.errors import RingCorrupt
from ipc.frames import Flag, Kind
from ipc.ordering import STORES_ARE_ORDERED, barrier
from ipc.ring_memory import RingMemory, Tally

MIN_WINDOW_BYTES = at.PAGE_BYTES
_POISON = memoryview(bytes([at.POISON]) * (1 << 16))
_SCRATCH = 4
_KIND = 3
_RUN_MASK = 0xFFFFFFFF
_REFUSED_NS = 10**9  # to be refused growth costs as much as growth does: the full ring does not ask at each chunk
# Plain numbers where each commit passes: comparing with an enum's member costs more than the store it guards.
_OUT, _ERR = int(Kind.OUT), int(Kind.ERR)
_KINDS = frozenset(int(kind) for kind in Kind)
_COMMIT, _READERS_STAMP = at.W_COMMIT, at.W_READERS_STAMP
_HEADER_BYTES, _DESCRIPTOR_BYTES = at.HEADER_BYTES, at.DESCRIPTOR_BYTES
_READER_BASES = tuple(at.reader_word(slot, 0) for slot in range(at.READERS))
_PIN_WORDS = tuple(base + at.R_PIN for base in _READER_BASES)
_pack_into = at.DESCRIPTOR.pack_into


class RingWriter:
    """`resize(memory, data_bytes)` gives the next generation or None; `ring_bell(number)` wakes a reader."""

    __slots__ = (
        "_armed",
        "_armed_kind",
        "_bells",
        "_board",
        "_clock_ns",
        "_commit",
        "_cursor_words",
        "_frame_limit",
        "_gate_words",
        "_grow_again_ns",
        "_limit",
        "_mirror_word",
        "_poison_end",
        "_pos",
        "_readers_stamp",
        "_resize",
        "_ring_bell",
        "_run",
        "_run_kind",
        "_sleeping_words",
        "_tail",
        "_tail_pos",
        "epoch",
        "err_offset",
        "flags",
        "lost_bytes",
        "lost_frames",
        "memory",
        "out_offset",
        "seq",
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
        self._board = board
        self._mirror_word = mirror_word
        self._ring_bell = ring_bell
        self._clock_ns = clock_ns
        self._resize = resize
        self._armed = True  # perhaps, by the writer before this one
        self._armed_kind = 0
        self.stalled = False
        self.flags = 0
        self._grow_again_ns = 0
        memory.q[at.W_WAITING] = 0
        self._adopt(memory)
        self._salvage()
        self._kick()

    # --- attaching --------------------------------------------------------------------------------------------------

    def _adopt(self, memory: RingMemory) -> None:
        """Everything a writer keeps for itself is rebuilt from the last descriptor and the tally."""
        q = memory.q
        self.memory = memory
        self._commit = q[at.W_COMMIT]
        tally = memory.tally()
        self.seq, self.epoch, self.out_offset, self.err_offset, self.lost_frames, self.lost_bytes = tally
        self._pos = 0
        self._run = 0
        if self._commit > memory.base_frame:
            self._adopt_last_frame(tally)
        self._run_kind = 0
        self._poison_end = 0
        self._refresh_readers()
        barrier()
        self._tail = min([q[at.W_OLDEST], *filter(self._is_whole, self._pinned())])
        self._tail_pos = memory.pos_of(self._tail) if self._tail < self._commit else self._pos
        self._measure()
        if not 0 <= self._pos - self._tail_pos <= memory.data_bytes:
            raise RingCorrupt(f"frames from {self._tail_pos} to {self._pos} in {memory.data_bytes} bytes")

    def _is_whole(self, frame: int) -> bool:
        """No: its reader came too late to pin it, and has yet to notice."""
        memory, commit = self.memory, self._commit
        first = max(memory.base_frame, commit - memory.slots)
        return first <= frame < commit and 0 <= self._pos - memory.pos_of(frame) <= memory.data_bytes

    def _adopt_last_frame(self, tally: Tally) -> None:
        last = self.memory.descriptor(self._commit - 1)
        if last.kind not in _KINDS or last.length > self.memory.data_bytes:
            raise RingCorrupt(f"frame {self._commit - 1} has kind {last.kind} and {last.length} bytes")
        self._pos = last.pos + last.length
        self._run = last.run
        if last.seq < tally.seq:
            return
        self.seq = last.seq + 1
        self.epoch = last.epoch
        match last.kind:
            case Kind.OUT:
                self.out_offset, self.err_offset = last.offset + last.length, last.other_offset
            case Kind.ERR:
                self.out_offset, self.err_offset = last.other_offset, last.offset + last.length
            case _:
                self.out_offset, self.err_offset = last.offset, last.other_offset

    def _salvage(self) -> None:
        """Commit what a killed writer had read and not committed."""
        q = self.memory.q
        armed, length = q[at.W_ARMED], q[at.W_ARMED_BYTES]
        kind, place = armed & _KIND, armed >> 3
        if not kind:
            return
        if armed & _SCRATCH:
            if place == self.seq:
                self._count_drop(kind, _unpoisoned(self.memory.scratch))
            return
        if place < self._pos:
            return
        start = place & (self.memory.data_bytes - 1)
        if start + length > self.memory.data_bytes:
            raise RingCorrupt(f"a read of {length} bytes was armed at {start}, beyond the end")
        found = _unpoisoned(self.memory.data[start : start + length])
        if found:
            self._pos = place
            q[at.W_SALVAGED] += found
            self._append(kind, found, Flag.SALVAGED)

    def _kick(self) -> None:
        """The writer before this one may have died between its commit and its ring. The mirror comes first: a reader
        that the last look at the readers has missed sees it before it sleeps."""
        self._board[self._mirror_word] = self._commit
        self._refresh_readers()
        for bell in self._bells.values():
            self._ring_bell(bell)

    # --- writing ----------------------------------------------------------------------------------------------------

    def arm(self, kind: int, most_bytes: int) -> memoryview | None:
        """A poisoned window to read into, to be followed by `commit`. None: the ring is full and its program waits."""
        memory = self.memory
        room = self._room(MIN_WINDOW_BYTES)
        if room < MIN_WINDOW_BYTES:
            room = self._make_room(MIN_WINDOW_BYTES, drop_oldest=self._drops_oldest())
            if room < MIN_WINDOW_BYTES:
                return self._arm_scratch(kind)
            memory = self.memory
        pos = self._pos
        window = min(room, most_bytes)
        start = pos & (memory.data_bytes - 1)
        end = pos + window
        clean = max(self._poison_end, pos)
        while clean < end:
            step = min(end - clean, len(_POISON))
            place = start + clean - pos
            memory.data[place : place + step] = _POISON[:step]
            clean += step
        self._poison_end = clean
        q = memory.q
        q[at.W_ARMED_BYTES] = window
        q[at.W_ARMED] = pos << 3 | kind
        self._armed = True
        self._armed_kind = kind
        return memory.data[start : start + window]

    def _arm_scratch(self, kind: int) -> memoryview | None:
        q = self.memory.q
        if q[at.W_POLICY] == at.Policy.BLOCK and not self.stalled:
            return None
        scratch = self.memory.scratch
        scratch[:] = _POISON[: len(scratch)]
        q[at.W_ARMED] = self.seq << 3 | _SCRATCH | kind
        self._armed = True
        self._armed_kind = kind | _SCRATCH
        return scratch

    def commit(self, length: int) -> None:
        """What was read into the armed window becomes a frame, or a counted loss."""
        kind = self._armed_kind
        if kind & _SCRATCH:
            self._count_drop(kind & _KIND, length)
        else:
            self._append(kind, length, self.flags)

    def put(self, kind: int, payload: bytes | memoryview, *, force: bool = False) -> bool:
        """Copy a frame in. False: no room, even (`force`) at the expense of the oldest."""
        length = len(payload)
        if self._pos + length > self._limit or self._commit >= self._frame_limit:  # noqa: SIM102 - the hot path asks once
            if not self._has_room(length, force=force):
                return False
        if self._armed:
            self._armed = False
            self.memory.q[at.W_ARMED] = 0
        memory = self.memory
        start = self._pos & memory.data_mask
        memory.data[start : start + length] = payload
        self._append(kind, length, 0)
        return True

    def begin_epoch(self, epoch: int, payload: bytes, *, force: bool = False) -> bool:
        """Offsets start again at 0; seq goes on. False: no room, as with `put`."""
        if not self._has_room(len(payload), force=force):
            return False
        self.epoch, self.out_offset, self.err_offset = epoch, 0, 0
        return self.put(Kind.BEGIN, payload)

    def _has_room(self, length: int, *, force: bool) -> bool:
        if self._room(length) >= length:
            return True
        return self._make_room(length, drop_oldest=force or self._drops_oldest()) >= length

    def _append(self, kind: int, length: int, flags: int) -> None:
        memory = self.memory
        pos = self._pos
        if kind == _OUT:
            offset, other = self.out_offset, self.err_offset
            self.out_offset = offset + length
        elif kind == _ERR:
            offset, other = self.err_offset, self.out_offset
            self.err_offset = offset + length
        else:
            offset, other = self.out_offset, self.err_offset
        if kind != self._run_kind or flags or not pos & memory.data_mask:
            self._begin_run(kind, flags)
        frame = self._commit
        seq = self.seq
        _pack_into(
            memory.buffer,
            _HEADER_BYTES + (frame & memory.slot_mask) * _DESCRIPTOR_BYTES,
            pos,
            self._clock_ns(),
            seq,
            offset,
            length,
            kind,
            flags,
            self.epoch,
            self._run,
            other,
            0,
        )
        self._pos = pos + length
        self.seq = seq + 1
        self._commit = frame = frame + 1
        q = memory.q
        board = self._board
        q[_COMMIT] = frame
        board[self._mirror_word] = frame
        if q[_READERS_STAMP] != self._readers_stamp:
            self._refresh_readers()
        for word in self._sleeping_words:
            if board[word]:
                self._wake(word)

    def _begin_run(self, kind: int, flags: int) -> None:
        """Control frames, and frames that differ from their neighbours by a flag, stand alone in their run."""
        self._run = (self._run + 1) & _RUN_MASK
        self._run_kind = kind if kind <= _ERR and not flags else 0

    def _wake(self, sleeping_word: int) -> None:
        self._board[sleeping_word] = 0
        self.memory.q[at.W_BELLS_RUNG] += 1
        self._ring_bell(self._bells[sleeping_word])

    def _count_drop(self, kind: int, length: int) -> None:
        if not length:
            return
        if kind == _OUT:
            self.out_offset += length
        else:
            self.err_offset += length
        self.seq += 1
        self.lost_frames += 1
        self.lost_bytes += length
        self._run_kind = 0
        self.memory.store_tally(
            Tally(self.seq, self.epoch, self.out_offset, self.err_offset, self.lost_frames, self.lost_bytes)
        )

    # --- room -------------------------------------------------------------------------------------------------------

    def _room(self, least_bytes: int) -> int:
        """Free bytes in one piece at the writing position, which skips a rest at the end that is too small."""
        if self._commit >= self._frame_limit:
            return 0
        if self._limit - self._pos < least_bytes:
            rest = self._wrap() - self._pos
            if rest < least_bytes:
                self._pos += rest
            self._measure()
        return self._limit - self._pos

    def _measure(self) -> None:
        """The frame and the position that the writer may go up to without looking at anything else."""
        self._frame_limit = self._tail + self.memory.slots
        self._limit = min(self._wrap(), self._tail_pos + self.memory.data_bytes)

    def _wrap(self) -> int:
        """The position at which the data area begins again."""
        return (self._pos | (self.memory.data_bytes - 1)) + 1

    def _make_room(self, least_bytes: int, *, drop_oldest: bool) -> int:
        self._look_who_reads()
        self._reclaim(least_bytes, drop_oldest=drop_oldest)
        return self._room(least_bytes)

    def _reclaim(self, least_bytes: int, *, drop_oldest: bool) -> None:
        memory = self.memory
        q, commit, tail = memory.q, self._commit, self._tail
        step = max(least_bytes, memory.data_bytes >> 3)
        target = memory.first_frame_from(self._pos + step - memory.data_bytes, tail, commit)
        target = min(max(target, commit - memory.slots + (memory.slots >> 3)), commit)
        slowest = min([q[word] for word in self._cursor_words], default=commit)
        self._note_lag(slowest)
        if slowest < target and self._grown():
            return
        if slowest < target and not drop_oldest:
            target = min([target, *(q[word] for word in self._gate_words)])
        if target <= tail:
            return
        q[at.W_OLDEST] = max(q[at.W_OLDEST], target)
        if slowest < target or not STORES_ARE_ORDERED:
            barrier()
        self._tail = min([target, *(frame for frame in self._pinned() if frame >= tail)])  # below: pinned too late
        self._tail_pos = memory.pos_of(self._tail) if self._tail < commit else self._pos
        self._measure()

    def _drops_oldest(self) -> bool:
        return self.stalled or self.memory.q[at.W_POLICY] == at.Policy.DROP_OLDEST

    def _pinned(self) -> list[int]:
        q = self.memory.q
        return [pin - 1 for word in _PIN_WORDS if (pin := q[word])]

    def _look_who_reads(self) -> None:
        if self.memory.q[_READERS_STAMP] != self._readers_stamp:
            self._refresh_readers()

    def _refresh_readers(self) -> None:
        q = self.memory.q
        self._readers_stamp = q[at.W_READERS_STAMP]
        readers = [base for base in _READER_BASES if q[base + at.R_STATE]]
        q[at.W_READERS_SEEN] = self._readers_stamp
        self._cursor_words = tuple(base + at.R_CURSOR for base in readers)
        self._gate_words = tuple(
            base + at.R_CURSOR for base in readers if q[base + at.R_STATE] == at.ReaderState.GATING
        )
        bells = {q[base + at.R_BELL] for base in readers}
        if q[at.W_FOLLOWERS]:
            bells.add(LIVE_BELL)
        self._bells = {sleeping_word(bell): bell for bell in sorted(bells)}
        self._sleeping_words = tuple(self._bells)

    def _note_lag(self, slowest: int) -> None:
        if slowest < self._commit:
            q = self.memory.q
            lag = self._pos - self.memory.pos_of(max(slowest, self._tail))
            q[at.W_HIGH_WATER] = max(q[at.W_HIGH_WATER], lag)

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
        self._store_standing()
        following = self._resize(self.memory, data_bytes)
        if following is None:
            return False
        following.q[at.W_RESIZES] += 1
        self._adopt(following)
        return True

    def _store_standing(self) -> None:
        self.memory.store_tally(
            Tally(self.seq, self.epoch, self.out_offset, self.err_offset, self.lost_frames, self.lost_bytes)
        )

    def is_idle(self) -> bool:
        """Every reader has read everything."""
        self._look_who_reads()
        q = self.memory.q
        return all(q[word] == self._commit for word in self._cursor_words)

    def prepare_wait(self, least_bytes: int = MIN_WINDOW_BYTES) -> bool:
        """Before the writer sleeps on its own bell. False: there is room after all."""
        self.memory.q[at.W_WAITING] = 1
        barrier()
        if self._make_room(least_bytes, drop_oldest=self._drops_oldest()) >= least_bytes:
            self.end_wait()
            return False
        self.memory.q[at.W_WAITS] += 1
        return True

    def end_wait(self) -> None:
        self.memory.q[at.W_WAITING] = 0

    def slowest_gate(self) -> int | None:
        """How far the slowest of those has come that hold this ring back: what a stall is judged by."""
        self._look_who_reads()
        q = self.memory.q
        return min((q[word] for word in self._gate_words), default=None)


def _unpoisoned(window: memoryview) -> int:
    return len(bytes(window).rstrip(_POISON[:1].tobytes()))
