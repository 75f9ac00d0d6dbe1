"""A ring in ordinary memory, whose processes can be killed before any store to a shared word."""

from ipc import ring_layout as at
from ipc.board import BOARD_BYTES, initial_board
from ipc.ring_memory import RingMemory, initial_header
from ipc.ring_reader import Follower, RingReader
from ipc.ring_resize import carry_readers, following_header, transplant
from ipc.ring_writer import RingWriter


class Killed(BaseException):
    """SIGKILL, as far as one thread can play it: nothing after this point happens."""


class MortalWords:
    """A word view that dies before its n-th store."""

    def __init__(self, words: memoryview, fate: "Fate") -> None:
        self.words = words
        self.fate = fate

    def __getitem__(self, index):
        return self.words[index]

    def __setitem__(self, index, value) -> None:
        self.fate.store()
        self.words[index] = value

    def __len__(self) -> int:
        return len(self.words)


class Fate:
    def __init__(self) -> None:
        self.stores_left = -1

    def store(self) -> None:
        if self.stores_left == 0:
            self.stores_left = -1
            raise Killed
        self.stores_left -= 1


class MemoryRing:
    """One ring, its board, and the files' part in a resize: `named` stands under the ring's name, `next` beside it."""

    def __init__(self, *, policy=at.Policy.BLOCK, data_bytes=at.MIN_DATA_BYTES, most_bytes=None, gating=True) -> None:
        self.fate = Fate()
        self.board = memoryview(initial_board() + bytearray(BOARD_BYTES)).cast("Q")
        self.clock = 0
        self.rings: list[int] = []
        self.writer_rings = 0
        header = initial_header(data_bytes, least_bytes=data_bytes, most_bytes=most_bytes or data_bytes, policy=policy)
        self.named = self._buffer(data_bytes, header)
        self.next: memoryview | None = None
        words = self.named.cast("Q")
        words[at.reader_word(0, at.R_STATE)] = int(at.ReaderState.GATING if gating else at.ReaderState.LOSSY)
        words[at.reader_word(0, at.R_BELL)] = 1
        words[0] = at.MAGIC
        self.gating = gating

    @staticmethod
    def _buffer(data_bytes, header) -> memoryview:
        buffer = memoryview(bytearray(at.segment_bytes(data_bytes)))
        buffer[: len(header)] = header
        return buffer

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def following(self, generation: int) -> RingMemory:
        """Announced, but perhaps not under the ring's name yet."""
        named = self.map()
        return named if named.generation > generation else RingMemory(self.next)

    def map(self, *, mortal: bool = False) -> RingMemory:
        memory = RingMemory(self.named)
        if mortal:
            memory.q = MortalWords(memory.q, self.fate)
        return memory

    def writer(self) -> RingWriter:
        memory = self.map(mortal=True)
        if memory.q[at.W_NEXT_GENERATION]:
            carry_readers(memory, RingMemory(self.next))
            self.named, self.next = self.next, None
            memory = self.map(mortal=True)
        return RingWriter(
            memory,
            board=self.board,
            mirror_word=600,
            ring_bell=self.rings.append,
            clock_ns=self.tick,
            resize=self._resize,
        )

    def _resize(self, old: RingMemory, data_bytes: int) -> RingMemory:
        self.next = self._buffer(data_bytes, following_header(old, data_bytes))
        self.fate.store()
        transplant(old, self.next, data_bytes)
        self.fate.store()
        self.next.cast("Q")[at.W_MAGIC] = at.MAGIC
        old.q[at.W_NEXT_GENERATION] = old.generation + 1
        self.fate.store()
        carry_readers(old, RingMemory(self.next))
        self.fate.store()
        self.named, self.next = self.next, None
        return self.map(mortal=True)

    def reader(self, slot: int = 0, *, gating: bool | None = None) -> RingReader:
        return RingReader(
            self.map(),
            slot,
            bell=1,
            gating=self.gating if gating is None else gating,
            pid=1,
            stamp=self.tick,
            following=self.following,
            ring_writer=self._ring_writer,
        )

    def _ring_writer(self) -> None:
        self.writer_rings += 1

    def follower(self) -> Follower:
        return Follower(self.map(), following=self.following, stamp=self.tick)
