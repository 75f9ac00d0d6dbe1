"""The output half of a worker: sources into the ring, and what happens when the ring is full.

Output has the floor: a busy source is pumped up to `_TURNS` windows before anybody else is looked at, a few
milliseconds at most. A full ring takes the sources off the poll, so that the program's own writes block: that is the
back-pressure.

A pipe holds a megabyte, so a program that writes fast loses nothing by a short rest of ours: what comes meanwhile is
one read, one frame and one wake-up instead of hundreds. A terminal holds a few kilobytes: there is no rest.
"""

import select
import time

from childproc.source import Pumped, Source
from childproc.stall import StallClock
from ipc import ring_layout as at
from ipc.bell import Bell
from ipc.ring_writer import RingWriter

SHRINK_AFTER_S = 10.0
_TURNS = 16
_REST_S = 0.0003
_BUSY_BYTES = 4096  # in one turn: below that, the next byte may be long in coming


class Output:
    def __init__(
        self,
        sources: tuple[Source, ...],
        writer: RingWriter,
        bell: Bell,
        stall: StallClock,
        shrink_after_s: float = SHRINK_AFTER_S,
    ) -> None:
        self._sources = sources
        self._writer = writer
        self._bell = bell
        self._stall = stall
        self._shrink_after_s = shrink_after_s
        self._active_s = time.monotonic()
        self._may_rest = all(source.is_pipe for source in sources)
        self.waiting = False  # for room in the ring

    @property
    def is_open(self) -> bool:
        return any(source.open for source in self._sources)

    def poll_masks(self) -> dict[int, int]:
        """A terminal that hung up would report it for ever: it is watched by edges."""
        if self.waiting:
            return {}
        return {
            source.fd: select.EPOLLIN if source.open else select.EPOLLIN | select.EPOLLET
            for source in self._sources
            if not source.finished
        }

    def deadline_s(self) -> float | None:
        if self.waiting:
            return self._stall.deadline_s
        return self._active_s + self._shrink_after_s if self._is_large() else None

    def answer_bell(self) -> None:
        self._bell.hush()
        self._resume()

    def read_to_the_last_byte(self) -> None:
        """The leader is gone: from now on EMPTY is a proof."""
        for source in self._sources:
            source.doubt_short_reads()

    def pump(self, now_s: float) -> Pumped:
        """EMPTY once nothing is left anywhere for the moment."""
        if self.waiting:
            if not self._stall.expired(now_s):
                return Pumped.FULL
            self._resume()
        if self._stall.stalled:
            self._stall.look(self._writer.slowest_gate())
        if self._stall.stalled is not self._writer.stalled:
            self._note_stall(now_s)
        before_bytes = self.position_bytes()
        outcomes = [self._pump_source(source) for source in self._sources if not source.finished]
        if Pumped.FULL in outcomes:
            return self._hold_back(now_s)
        if Pumped.MORE in outcomes:
            self._active_s = now_s
            return Pumped.MORE
        if self._may_rest and self.position_bytes() - before_bytes >= _BUSY_BYTES:
            time.sleep(_REST_S)
            return Pumped.MORE
        self._shrink_if_idle(now_s)
        return Pumped.EMPTY

    def position_bytes(self) -> int:
        """What the program has written in this epoch."""
        return self._writer.out_offset + self._writer.err_offset

    def _pump_source(self, source: Source) -> Pumped:
        outcome = Pumped.MORE
        for _ in range(_TURNS):
            outcome = source.pump(self._writer)
            if outcome is not Pumped.MORE:
                break
        return outcome

    def _hold_back(self, now_s: float) -> Pumped:
        if not self._writer.prepare_wait(for_much=True):
            return Pumped.MORE
        self.waiting = True
        self._stall.wait(self._writer.slowest_gate(), now_s)
        return Pumped.FULL

    def _resume(self) -> None:
        self.waiting = False
        self._writer.end_wait()

    def _note_stall(self, now_s: float) -> None:
        self._writer.stalled = self._stall.stalled
        self._writer.memory.q[at.W_STALLED_SINCE] = int(now_s * 1e9) if self._stall.stalled else 0

    def _is_large(self) -> bool:
        q = self._writer.memory.q
        return self._writer.memory.data_bytes > q[at.W_LEAST_BYTES]

    def _shrink_if_idle(self, now_s: float) -> None:
        if self._is_large() and now_s >= self._active_s + self._shrink_after_s:
            self._active_s = now_s
            if self._writer.is_idle():
                self._writer.resize(self._writer.memory.q[at.W_LEAST_BYTES])
