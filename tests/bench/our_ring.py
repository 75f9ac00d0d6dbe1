"""Our ring as a transport between two processes: one `put` for each message, or one `put_all` for a batch of them; and
each message handed out as a buffer of its own.

Either side that finds nothing to do gives way a few times before it sets its flag and goes to sleep for good: what the
other one is about to do costs no system call and no wake-up then.
"""

import contextlib
import os
import select
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ipc.bell import Bell
from ipc.board import sleeping_word
from ipc.frames import Kind
from ipc.ordering import barrier
from ipc.ring_attach import attach_reader, attach_writer
from ipc.ring_dir import create_ring_dir, open_board, open_reader_bell, open_writer_bell
from ipc.ring_file import create_ring
from ipc.ring_layout import ReaderSlot
from ipc.ring_reader import Run
from ipc.ring_spec import RingSpec
from tests.bench.channel import Buffer, Gathering, Sender
from tests.bench.transports import FIFO_BYTES

_SESSION = "bench"
_BELL = 1
_BATCH_BYTES = 1 << 18
_PATIENCE_NS = 50_000  # about what it costs to be woken
_OUT = int(Kind.OUT)


class _Sleeper:
    """Waits for a bell: rung or not, it is quiet afterwards."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._poll = select.poll()
        self._poll.register(bell, select.POLLIN)

    def sleep(self) -> None:
        self._poll.poll()
        self._bell.hush()


def _comes_soon(is_there: Callable[[], bool]) -> bool:
    give_up_ns = time.monotonic_ns() + _PATIENCE_NS
    while not is_there():
        if time.monotonic_ns() > give_up_ns:
            return False
        os.sched_yield()
    return True


class _Sender:
    def __init__(self, ring_dir: str) -> None:
        self._writer = attach_writer(ring_dir, _SESSION, 0)
        self._sleeper = _Sleeper(open_writer_bell(ring_dir, _SESSION))
        self._put = self._writer.put
        self._put_all = self._writer.put_all

    def flush(self) -> None:
        """Nothing waits."""

    def send(self, message: bytes) -> None:
        if not self._put(_OUT, message) and not _comes_soon(lambda: self._put(_OUT, message)):
            while not self._put(_OUT, message):
                self._wait(len(message))

    def send_all(self, messages: Sequence[bytes]) -> None:
        left = messages

        def takes_some() -> bool:
            nonlocal left
            taken = self._put_all(_OUT, left)
            left = left[taken:]
            return taken > 0

        while left:
            if not takes_some() and not _comes_soon(takes_some):
                self._wait(len(left[0]))

    def _wait(self, length: int) -> None:
        if self._writer.prepare_wait(length):
            self._sleeper.sleep()
            self._writer.end_wait()


class _Receiver:
    def __init__(self, ring_dir: str) -> None:
        self._reader = attach_reader(ring_dir, _SESSION, ReaderSlot.LOG, bell=_BELL, gating=True)
        self._board = open_board(ring_dir)
        self._sleeping = sleeping_word(_BELL)
        self._sleeper = _Sleeper(open_reader_bell(ring_dir, _BELL))
        self._run: Run | None = None

    def receive(self) -> Iterable[Buffer]:
        if self._run is not None:
            self._reader.finish(self._run)
        if not self._reader.has_news():
            _comes_soon(self._reader.has_news)
        while (run := self._reader.next_run(_BATCH_BYTES)) is None:
            self._sleep()
        self._run = run
        return self._reader.frames(run)

    def _sleep(self) -> None:
        self._board[self._sleeping] = 1
        barrier()
        if not self._reader.has_news():
            self._sleeper.sleep()
        self._board[self._sleeping] = 0


class _Channel:
    def __init__(self, directory: Path, message_bytes: int, *, gathers: bool) -> None:
        self._message_bytes = message_bytes
        self._gathers = gathers
        self._ring_dir = f"/dev/shm/{directory.parent.name}-{directory.name}"
        create_ring_dir(self._ring_dir)
        size_bytes = max(FIFO_BYTES, 16 * message_bytes)
        create_ring(self._ring_dir, _SESSION, RingSpec(slot=0, size_bytes=size_bytes, max_bytes=size_bytes))

    def sender(self) -> Sender:
        sender = _Sender(self._ring_dir)
        return Gathering(sender.send_all, self._message_bytes) if self._gathers else sender

    def receiver(self) -> _Receiver:
        return _Receiver(self._ring_dir)

    def close(self) -> None:
        shutil.rmtree(self._ring_dir)


class OurRing:
    def __init__(self, *, gathers: bool = False) -> None:
        self.name = "ringvisor put_all" if gathers else "ringvisor"
        self.gathers = gathers

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        with contextlib.suppress(PackageNotFoundError):
            return version("ringvisor")
        return "this tree"

    def channel(self, directory: Path, message_bytes: int) -> _Channel:
        return _Channel(directory, message_bytes, gathers=self.gathers)
