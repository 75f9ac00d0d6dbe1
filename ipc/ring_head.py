"""The new end of a ring: where the next frame goes, which number and offset it gets, and who is told.

A frame exists once COMMIT counts it, and COMMIT is one aligned store; everything beyond it is garbage by
definition, so a SIGKILL at any instruction leaves nothing to repair. What is dropped takes its seq and its offset all
the same, and the tally says so until a frame follows.
"""

from collections.abc import Callable, Sequence

from ipc import ring_layout as at
from ipc.frames import Kind
from ipc.ring_audience import Audience
from ipc.ring_memory import RingMemory, Tally
from ipc.ring_standing import standing_of

_RUN_MASK = 0xFFFFFFFF
# Plain numbers where each commit passes: comparing with an enum's member costs more than the store it guards.
_OUT, _ERR = int(Kind.OUT), int(Kind.ERR)
_COMMIT, _READERS_STAMP = at.W_COMMIT, at.W_READERS_STAMP
_HEADER_BYTES, _DESCRIPTOR_BYTES = at.HEADER_BYTES, at.DESCRIPTOR_BYTES
_pack_into = at.FRAME.pack_into


class Head:
    """`commit` frames exist, and the next one begins at `pos`."""

    __slots__ = (
        "_board",
        "_clock_ns",
        "_in_common",
        "_mirror_word",
        "_readers_stamp",
        "_ring_bell",
        "_run",
        "_run_kind",
        "_sleeping_words",
        "audience",
        "commit",
        "epoch",
        "err_offset",
        "lost_bytes",
        "lost_frames",
        "memory",
        "out_offset",
        "pos",
        "seq",
    )

    def __init__(
        self,
        memory: RingMemory,
        *,
        board: memoryview,
        mirror_word: int,
        ring_bell: Callable[[int], None],
        clock_ns: Callable[[], int],
    ) -> None:
        self._board = board
        self._mirror_word = mirror_word
        self._ring_bell = ring_bell
        self._clock_ns = clock_ns
        self.adopt(memory)

    def adopt(self, memory: RingMemory) -> None:
        """Go on behind the last frame of this generation."""
        self.memory = memory
        self.commit = memory.q[_COMMIT]
        self.pos, self._run, tally = standing_of(memory, self.commit)
        self.seq, self.epoch, self.out_offset, self.err_offset, self.lost_frames, self.lost_bytes = tally
        self._run_kind = 0
        self._in_common = b""  # of the frames of a run
        self.audience = Audience(memory.q)
        self._note_audience()

    def kick(self) -> None:
        """The writer before this one may have died between its commit and its ring. The mirror comes first: a reader
        that the last look at the readers has missed sees it before it sleeps."""
        self._board[self._mirror_word] = self.commit
        self._look()
        for bell in self.audience.bells.values():
            self._ring_bell(bell)

    def append(self, kind: int, length: int, flags: int) -> None:
        """The bytes at `pos` become a frame."""
        memory = self.memory
        pos = self.pos
        if kind == _OUT:
            offset, other = self.out_offset, self.err_offset
            self.out_offset = offset + length
        elif kind == _ERR:
            offset, other = self.err_offset, self.out_offset
            self.err_offset = offset + length
        else:
            offset, other = self.out_offset, self.err_offset
        if kind != self._run_kind or flags or not pos & memory.data_mask:
            self._begin_run(kind, flags, other)
        frame = self.commit
        seq = self.seq
        _pack_into(
            memory.buffer,
            _HEADER_BYTES + (frame & memory.slot_mask) * _DESCRIPTOR_BYTES,
            pos,
            self._clock_ns(),
            seq,
            offset,
            length,
            self._in_common,
        )
        self.pos = pos + length
        self.seq = seq + 1
        self.commit = frame = frame + 1
        q = memory.q
        board = self._board
        q[_COMMIT] = frame
        board[self._mirror_word] = frame
        if q[_READERS_STAMP] != self._readers_stamp:
            self._look()
        for word in self._sleeping_words:
            if board[word]:
                self._wake(word)

    def append_all(self, kind: int, messages: Sequence[bytes]) -> None:
        """The bytes at `pos` are these messages, and each becomes a frame. The descriptors of all but the last lie
        beyond COMMIT until that one's makes all of them exist."""
        memory = self.memory
        pos, seq, commit = self.pos, self.seq, self.commit
        is_out = kind == _OUT
        offset, other = (self.out_offset, self.err_offset) if is_out else (self.err_offset, self.out_offset)
        if kind != self._run_kind or not pos & memory.data_mask:
            self._begin_run(kind, 0, other)
        buffer, slot_mask, in_common, time_ns = memory.buffer, memory.slot_mask, self._in_common, self._clock_ns()
        for message in messages[:-1]:
            length = len(message)
            place = _HEADER_BYTES + (commit & slot_mask) * _DESCRIPTOR_BYTES
            _pack_into(buffer, place, pos, time_ns, seq, offset, length, in_common)
            pos += length
            offset += length
            seq += 1
            commit += 1
        self.pos, self.seq, self.commit = pos, seq, commit
        self.out_offset, self.err_offset = (offset, other) if is_out else (other, offset)
        self.append(kind, len(messages[-1]), 0)

    def _begin_run(self, kind: int, flags: int, other_offset: int) -> None:
        """Control frames, and frames that differ from their neighbours by a flag, stand alone in their run. The other
        stream stands still as long as a run lasts."""
        self._run = (self._run + 1) & _RUN_MASK
        self._in_common = at.RUN.pack(kind, flags, self.epoch, self._run, other_offset, 0)
        self._run_kind = kind if kind <= _ERR and not flags else 0

    def _wake(self, sleeping_word: int) -> None:
        self._board[sleeping_word] = 0
        self.memory.q[at.W_BELLS_RUNG] += 1
        self._ring_bell(self.audience.bells[sleeping_word])

    def begin_epoch(self, epoch: int) -> None:
        """Offsets start again at 0; seq goes on."""
        self.epoch, self.out_offset, self.err_offset = epoch, 0, 0

    def drop(self, kind: int, length: int) -> None:
        """Bytes that were read and will never be in the ring."""
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
        self.store_tally()

    def store_tally(self) -> None:
        self.memory.store_tally(
            Tally(self.seq, self.epoch, self.out_offset, self.err_offset, self.lost_frames, self.lost_bytes)
        )

    # --- who reads --------------------------------------------------------------------------------------------------

    def look_who_reads(self) -> Audience:
        if self.memory.q[_READERS_STAMP] != self._readers_stamp:
            self._look()
        return self.audience

    def _look(self) -> None:
        self.audience.look()
        self._note_audience()

    def _note_audience(self) -> None:
        """What each frame asks for lies at hand."""
        self._readers_stamp = self.audience.stamp
        self._sleeping_words = self.audience.sleeping_words
