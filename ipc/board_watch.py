"""Which of a thousand rings have something new: one comparison over the board.

A mirror that differs from what it was when its ring was last read to the end is work. Only differences count: the
mirror of a writer that was killed right after its commit stands behind the truth until the next writer comes. Slots
that are not this reader's, or are held for a while because their sink has failed, are masked out.
"""

import numpy as np
import numpy.typing as npt

from ipc.board import HEADER_BYTES, LINE_BYTES, MAX_SESSIONS, sleeping_word
from ipc.ordering import barrier, settle

_LINE_WORDS = LINE_BYTES // 8


class BoardWatch:
    def __init__(self, board: memoryview, bell: int) -> None:
        self._board = board
        self._sleeping = sleeping_word(bell)
        words: npt.NDArray[np.uint64] = np.frombuffer(board, dtype=np.uint64)
        first = HEADER_BYTES // 8
        self._mirrors = words[first : first + MAX_SESSIONS * _LINE_WORDS : _LINE_WORDS]
        self._seen = np.zeros(MAX_SESSIONS, dtype=np.uint64)
        self._looked = np.zeros(MAX_SESSIONS, dtype=np.uint64)
        self._active = np.zeros(MAX_SESSIONS, dtype=np.bool_)
        self._top = 0
        self._marked: set[int] = set()

    def watch(self, slot: int) -> None:
        """It is work, whatever its mirror says."""
        self._active[slot] = True
        self._top = max(self._top, slot + 1)
        self._marked.add(slot)

    def ignore(self, slot: int) -> None:
        self._active[slot] = False
        self._marked.discard(slot)

    def done(self, slot: int) -> None:
        """Its ring was read to the end after the last look."""
        self._seen[slot] = self._looked[slot]
        self._marked.discard(slot)

    def dirty(self) -> list[int]:
        top = self._top
        looked = self._looked[:top]
        looked[:] = self._mirrors[:top]
        settle()  # a mirror that was seen here promises the commit word that was stored before it
        changed = looked != self._seen[:top]
        changed &= self._active[:top]
        slots: list[int] = np.flatnonzero(changed).tolist()
        return sorted(self._marked.union(slots)) if self._marked else slots

    def prepare_sleep(self) -> bool:
        """False: something came in just now. Whoever commits after this rings the bell."""
        self._board[self._sleeping] = 1
        barrier()
        if self.dirty():
            self.wake()
            return False
        return True

    def wake(self) -> None:
        self._board[self._sleeping] = 0
