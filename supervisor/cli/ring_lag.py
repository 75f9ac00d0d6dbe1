"""How far the log is behind a session's ring, read from shared memory without a word to anybody."""

from ipc import ring_layout as at
from ipc.errors import IpcError
from ipc.ring_file import open_ring
from ipc.ring_memory import RingMemory


class RingLags:
    """Keeps rings mapped from one look to the next."""

    def __init__(self, ring_dir: str) -> None:
        self._ring_dir = ring_dir
        self._memories: dict[str, RingMemory] = {}

    def read_bytes(self, session: str) -> int | None:
        """None: it has no ring, or no log reads it."""
        try:
            return lag_bytes(self._memory(session))
        except (OSError, IpcError, ValueError, IndexError):
            self._memories.pop(session, None)
            return None

    def _memory(self, session: str) -> RingMemory:
        memory = self._memories.get(session)
        if memory is None or memory.q[at.W_NEXT_GENERATION]:
            memory = self._memories[session] = open_ring(self._ring_dir, session, writable=False)
        return memory


def lag_bytes(memory: RingMemory) -> int | None:
    q = memory.q
    if q[at.reader_word(at.ReaderSlot.LOG, at.R_STATE)] == at.ReaderState.FREE:
        return None
    commit = q[at.W_COMMIT]
    first = max(q[at.reader_word(at.ReaderSlot.LOG, at.R_CURSOR)], q[at.W_OLDEST])
    if first >= commit:
        return 0
    last = memory.descriptor(commit - 1)
    return last.pos + last.length - memory.pos_of(first)
