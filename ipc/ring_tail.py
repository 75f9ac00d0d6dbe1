"""The old end of a ring: which frames are still kept, and how their room is had back.

A ring keeps its history: read frames stay until their room is needed, an eighth of the ring at a time. OLDEST is
stored before anything is overwritten, and a frame that a reader has pinned is never overwritten, whatever the policy:
a reader that hangs in the middle of a write costs new bytes, counted, but never hands out wrong ones.
"""

from ipc import ring_layout as at
from ipc.errors import RingCorrupt
from ipc.ordering import STORES_ARE_ORDERED, barrier
from ipc.ring_audience import Audience
from ipc.ring_memory import RingMemory


class Tail:
    """Of one generation: `frame` is the first that may not be overwritten, `pos` where it lies."""

    __slots__ = ("_audience", "_memory", "frame", "pos")

    def __init__(self, memory: RingMemory, audience: Audience, commit: int, pos: int) -> None:
        self._memory = memory
        self._audience = audience
        barrier()
        pinned = [frame for frame in audience.pinned() if self._is_whole(frame, commit, pos)]
        self._stand_at(min([memory.q[at.W_OLDEST], *pinned]), commit, pos)
        if not 0 <= pos - self.pos <= memory.data_bytes:
            raise RingCorrupt(f"frames from {self.pos} to {pos} in {memory.data_bytes} bytes")

    def _is_whole(self, frame: int, commit: int, pos: int) -> bool:
        """No: its reader came too late to pin it, and has yet to notice."""
        memory = self._memory
        first = max(memory.base_frame, commit - memory.slots)
        return first <= frame < commit and 0 <= pos - memory.pos_of(frame) <= memory.data_bytes

    def wanted(self, least_bytes: int, commit: int, pos: int) -> int:
        """Where it should stand for so many bytes to fit, and a piece more."""
        memory = self._memory
        step = max(least_bytes, memory.data_bytes >> 3)
        frame = memory.first_frame_from(pos + step - memory.data_bytes, self.frame, commit)
        return min(max(frame, commit - memory.slots + (memory.slots >> 3)), commit)

    def move(self, target: int, commit: int, pos: int, *, unread: bool) -> None:
        """As far as pins allow. `unread`: somebody may be about to read what is given up."""
        q = self._memory.q
        q[at.W_OLDEST] = max(q[at.W_OLDEST], target)
        if unread or not STORES_ARE_ORDERED:
            barrier()
        pinned = [frame for frame in self._audience.pinned() if frame >= self.frame]  # below: pinned too late
        self._stand_at(min([target, *pinned]), commit, pos)

    def note_lag(self, slowest: int, commit: int, pos: int) -> None:
        """How far the slowest reader is behind."""
        if slowest < commit:
            q = self._memory.q
            q[at.W_HIGH_WATER] = max(q[at.W_HIGH_WATER], pos - self._memory.pos_of(max(slowest, self.frame)))

    def _stand_at(self, frame: int, commit: int, pos: int) -> None:
        self.frame = frame
        self.pos = self._memory.pos_of(frame) if frame < commit else pos
