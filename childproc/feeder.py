"""The input half of a worker: what clients send goes into the program's terminal or stdin, in order, never blocking.

Before each write the ring's header says how many bytes are in flight, after it how many have gone in: when a worker
is killed in between, exactly that one write is in doubt, and whoever looks can say so.
"""

import os
import select
from collections import Counter

from childproc.handover import Handover
from childproc.input_port import InputPort
from childproc.input_queue import Chunk, InputQueue
from childproc.terminal import Terminal
from ipc import ring_layout as at
from ipc.ring_writer import RingWriter
from ipc.worker_messages import Discarded, Refusal, Refused, Written

INPUT_LIMIT_BYTES = 4 << 20
_NOBODY = -1


class Feeder:
    """`fd` is the terminal's master or the pipe; -1 once input is closed."""

    def __init__(self, fd: int, terminal: Terminal | None, port: InputPort, writer: RingWriter) -> None:
        self._fd = fd
        self._terminal = terminal
        self._port = port
        self._writer = writer
        self._queue = InputQueue(INPUT_LIMIT_BYTES)
        self._closing = False

    @property
    def fd(self) -> int:
        return self._fd

    def poll_masks(self) -> dict[int, int]:
        return {self._fd: select.EPOLLOUT} if self._queue else {}

    def take(self, chunk: Chunk) -> None:
        if self._terminal and self._terminal.sweeps(chunk.data):
            self._sweep(self._terminal)
        line_ends = self._terminal.line_ends() if self._terminal else None
        refusal = self._queue.offer(chunk, line_ends) if self._is_open() else Refusal.CLOSED
        if refusal is None:
            self.feed()
        else:
            refused = Refused(chunk.id, refusal, self._queue.queued_bytes, self._queue.limit_bytes)
            self._port.answer(chunk.client, refused)

    def close(self, client: int, request: int) -> None:
        """End of file, behind what is queued."""
        data = self._terminal.end_of_file() if self._terminal else b""
        self.take(Chunk(client, request, data, kept=False))
        self._closing = self._terminal is None

    def close_if_done(self) -> None:
        """Only when nobody polls it any more: the poll would go on with it, since the keeper has a copy."""
        if self._closing and not self._queue and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def feed(self) -> None:
        """As much of the queue as the program's side takes now."""
        while self._queue and self._feed_head():
            pass

    def _feed_head(self) -> bool:
        q = self._writer.memory.q
        head = self._queue.head()
        q[at.W_INPUT_ARMED] = len(head)
        try:
            count = os.write(self._fd, head) if head else 0
        except BlockingIOError:
            q[at.W_INPUT_ARMED] = 0
            return False
        except OSError:  # EPIPE, EIO: nobody reads it, though a terminal may be opened again
            q[at.W_INPUT_ARMED] = 0
            self.discard()
            self._closing = self._terminal is None
            return False
        q[at.W_INPUT_OFFSET] += count
        q[at.W_INPUT_ARMED] = 0
        done = self._queue.advance(count)
        if done is not None:
            self._port.answer(done.client, Written(done.id, q[at.W_INPUT_OFFSET]))
        return True

    def discard(self) -> None:
        """What is queued will never go in, and its senders are told."""
        for chunk in self._queue.discard():
            self._port.answer(chunk.client, Discarded(chunk.id))

    # --- from one worker to the next ---

    def hand_over(self, epoch: int) -> Handover:
        """What its clients will not send again. They are told where each of them stands."""
        left = self._queue.unfinished()
        is_final = self._closing or not all(chunk.kept for chunk in left)
        ours = [chunk for chunk in left if is_final or not self._port.is_there(chunk.client)]
        ahead: Counter[int] = Counter()  # by client: so many bytes that it still has are looked after
        for chunk in ours:
            ahead[chunk.client] += len(chunk.data) if chunk.kept else 0
        if left:
            ahead[left[0].client] += self._queue.done_in_head
        self._port.settle(self._writer.memory.q[at.W_INPUT_OFFSET], ahead)
        return Handover(epoch, tuple(chunk.data for chunk in ours), closes=self._closing)

    def go_on(self, handover: Handover) -> None:
        """They were taken by the last worker, which had looked at them."""
        for data in handover.inputs:
            self._queue.offer(Chunk(_NOBODY, 0, data), None)
        self._closing = handover.closes

    def _sweep(self, terminal: Terminal) -> None:
        """What a Ctrl-C would do to all input before it, if it did not have to wait behind it."""
        self.discard()
        terminal.flush_input()

    def _is_open(self) -> bool:
        return self._fd >= 0 and not self._closing
