"""What clients want the program to read, and has not gone in yet. Pure: knows lengths, not fds.

A terminal in canonical mode cuts a line at 4095 bytes without a word; such a line is refused here instead. The line
that is being assembled is followed over several inputs, as far as one can from outside: by its ends.
"""

import functools
import re
from collections import deque
from typing import NamedTuple

from ipc.worker_messages import Refusal

CANONICAL_LINE_BYTES = 4095
CHUNKS_MAX = 4096  # inputs of a byte cost memory too


class Chunk(NamedTuple):
    """`kept`: its client has it too until it is answered, as with all inputs; an end of file is said once."""

    client: int
    id: int
    data: bytes
    kept: bool = True


class InputQueue:
    """`limit_bytes` bounds what waits; a chunk is taken whole or refused whole."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.queued_bytes = 0
        self._chunks: deque[Chunk] = deque()
        self._done_in_head = 0
        self._line_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def offer(self, chunk: Chunk, line_ends: bytes | None) -> Refusal | None:
        """`line_ends`: the characters that end or throw away a line; None where lines may be of any length."""
        if self.queued_bytes + len(chunk.data) > self.limit_bytes or len(self._chunks) >= CHUNKS_MAX:
            return Refusal.FULL
        rest = 0
        if line_ends is not None:
            longest, rest = _lines(chunk.data, self._line_bytes, line_ends)
            if longest > CANONICAL_LINE_BYTES:
                return Refusal.LINE_TOO_LONG
        self._line_bytes = rest
        self._chunks.append(chunk)
        self.queued_bytes += len(chunk.data)
        return None

    def head(self) -> memoryview:
        return memoryview(self._chunks[0].data)[self._done_in_head :]

    def advance(self, count: int) -> Chunk | None:
        """So many bytes of the head have gone in. Gives the chunk back when that was all of it."""
        self._done_in_head += count
        self.queued_bytes -= count
        if self._done_in_head < len(self._chunks[0].data):
            return None
        self._done_in_head = 0
        return self._chunks.popleft()

    @property
    def done_in_head(self) -> int:
        return self._done_in_head

    def unfinished(self) -> list[Chunk]:
        """What has not gone in, in order: the head without what has."""
        if not self._chunks:
            return []
        head, *others = self._chunks
        return [head._replace(data=head.data[self._done_in_head :]), *others]

    def discard(self) -> list[Chunk]:
        """A Ctrl-C sweeps away what was typed before it."""
        swept = list(self._chunks)
        self._chunks.clear()
        self.queued_bytes = self._done_in_head = self._line_bytes = 0
        return swept


def _lines(data: bytes, begun_bytes: int, line_ends: bytes) -> tuple[int, int]:
    """The longest line that this makes, and how long the unfinished one is at its end."""
    lengths = [len(line) for line in _splitter(line_ends).split(data)]
    lengths[0] += begun_bytes
    return max(lengths), lengths[-1]


@functools.lru_cache(maxsize=8)
def _splitter(line_ends: bytes) -> re.Pattern[bytes]:
    return re.compile(b"[" + re.escape(line_ends) + b"]")
