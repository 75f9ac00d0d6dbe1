"""Ring all doorbells: whoever died may have been about to ring one, and somebody may sleep for ever without it.

The readers' bells are held open, so that what stands in them survives the death of the only reader. A writer's bell
is opened when it is needed: without a reader behind it there is nobody to wake (ENXIO).
"""

import contextlib
import os
import re
from collections.abc import Iterable

_READERS_BELL = re.compile(r"bell\.\d+\Z")


class Bells:
    def __init__(self, ring_dir: str) -> None:
        self._ring_dir = ring_dir
        names = sorted(filter(_READERS_BELL.match, os.listdir(ring_dir)))
        self._fds = [os.open(f"{ring_dir}/{name}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC) for name in names]

    def ring_readers(self) -> None:
        for fd in self._fds:
            _ring(fd)

    def ring_writers(self, sessions: Iterable[str]) -> None:
        for session in sessions:
            with contextlib.suppress(OSError):
                fd = os.open(f"{self._ring_dir}/{session}.bell", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                _ring(fd)
                os.close(fd)


def _ring(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):  # full: rung often enough
        os.write(fd, b"\x01")
