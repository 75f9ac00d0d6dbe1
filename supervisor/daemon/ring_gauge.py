"""What a session's ring says about itself: read from shared memory, without a message to anybody."""

from typing import NamedTuple

from ipc import ring_layout as at
from ipc.errors import RingError
from ipc.frames import Kind
from ipc.ring_file import open_ring
from ipc.ring_memory import RingMemory


class Gauge(NamedTuple):
    epoch: int = 0
    offset: int = 0  # bytes that the program has written in this epoch, both streams of a pipe session together
    lost_bytes: int = 0
    lag_frames: int = 0
    ring_bytes: int = 0
    high_water_bytes: int = 0
    waits: int = 0
    stalled: bool = False
    input_bytes: int = 0


NOTHING = Gauge()


class RingGauges:
    """Keeps each ring mapped, so that a thousand sessions are read in a few milliseconds."""

    def __init__(self, ring_dir: str) -> None:
        self._ring_dir = ring_dir
        self._memories: dict[str, RingMemory] = {}

    def read(self, session: str) -> Gauge:
        try:
            return _gauge(self._memory(session))
        except (OSError, RingError):
            self.forget(session)
            return NOTHING

    def forget(self, session: str) -> None:
        self._memories.pop(session, None)

    def _memory(self, session: str) -> RingMemory:
        memory = self._memories.get(session)
        if memory is None or memory.q[at.W_NEXT_GENERATION]:
            memory = self._memories[session] = open_ring(self._ring_dir, session, writable=False)
        return memory


def _gauge(memory: RingMemory) -> Gauge:
    q = memory.q
    tally = memory.tally()
    epoch, offset, commit = tally.epoch, tally.out_offset + tally.err_offset, q[at.W_COMMIT]
    if commit > memory.base_frame:
        last = memory.descriptor(commit - 1)
        if last.seq >= tally.seq:
            own = last.length if last.kind in {Kind.OUT, Kind.ERR} else 0
            epoch, offset = last.epoch, last.offset + own + last.other_offset
    log = at.reader_word(at.ReaderSlot.LOG, 0)
    attached = q[log + at.R_STATE] != at.ReaderState.FREE
    return Gauge(
        epoch,
        offset,
        tally.lost_bytes + q[log + at.R_LOST_BYTES],
        commit - q[log + at.R_CURSOR] if attached else 0,
        memory.data_bytes,
        q[at.W_HIGH_WATER],
        q[at.W_WAITS],
        q[at.W_STALLED_SINCE] != 0,
        q[at.W_INPUT_OFFSET],
    )
