"""Who reads a ring, as its writer knows it.

Readers come and go by their words in the ring's header and a new READERS_STAMP. The writer compares that one word at
each frame and looks at the others only when it has changed; READERS_SEEN says up to which change it has looked.
"""

from ipc import ring_layout as at
from ipc.board import LIVE_BELL, sleeping_word

_READER_BASES = tuple(at.reader_word(slot, 0) for slot in range(at.READERS))
_PIN_WORDS = tuple(base + at.R_PIN for base in _READER_BASES)


class Audience:
    """Of one generation. `bells` are the readers' by the words of the board that say whether they sleep."""

    __slots__ = ("_cursor_words", "_gate_words", "_q", "bells", "sleeping_words", "stamp")

    def __init__(self, q: memoryview) -> None:
        self._q = q
        self.look()

    def look(self) -> None:
        q = self._q
        self.stamp = q[at.W_READERS_STAMP]
        readers = [base for base in _READER_BASES if q[base + at.R_STATE]]
        q[at.W_READERS_SEEN] = self.stamp
        self._cursor_words = tuple(base + at.R_CURSOR for base in readers)
        self._gate_words = tuple(
            base + at.R_CURSOR for base in readers if q[base + at.R_STATE] == at.ReaderState.GATING
        )
        bells = {q[base + at.R_BELL] for base in readers}
        if q[at.W_FOLLOWERS]:
            bells.add(LIVE_BELL)
        self.bells = {sleeping_word(bell): bell for bell in sorted(bells)}
        self.sleeping_words = tuple(self.bells)

    def slowest(self, default: int) -> int:
        """How far everybody has come."""
        q = self._q
        return min([q[word] for word in self._cursor_words], default=default)

    def slowest_gate(self) -> int | None:
        """How far those have come that the program may be held back for."""
        q = self._q
        return min((q[word] for word in self._gate_words), default=None)

    def pinned(self) -> list[int]:
        """The frames that are in use right now."""
        q = self._q
        return [pin - 1 for word in _PIN_WORDS if (pin := q[word])]
