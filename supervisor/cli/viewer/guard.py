"""Restores the user's terminal when its viewer was killed.

A SIGKILL leaves a terminal raw, in the alternate screen, with the mouse on. So a viewer has a small child that sleeps
on a pipe: when the pipe closes without a word, the viewer is dead, and the child does what it would have done. What to
write then is kept up to date in a page that both share, two copies of it and which one counts: a viewer that is killed
while it writes leaves the other one whole.

The child has a process group of its own, so that no Ctrl-C reaches it, and is not stopped for touching a terminal from
the background. If somebody else has changed the terminal's modes meanwhile, a shell that was quicker, they stay.
"""

import contextlib
import mmap
import os
import select
import signal
import struct
import termios
import time
from typing import Any

LAST_WORDS_S = 2.0
_FAREWELL = b"."
_COPY_BYTES = 8192
_LENGTH = struct.Struct("<I")


class Guard:
    """`raw` is what the viewer sets, `cooked` what was there before."""

    def __init__(self, tty: int, cooked: list[Any], raw: list[Any]) -> None:
        self._page = mmap.mmap(-1, 3 * 4096 + 2 * _COPY_BYTES)
        self._read_end, self._write_end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._be_guard(tty, cooked, raw)
            finally:
                os._exit(0)
        os.close(self._read_end)

    def note(self, reset: bytes) -> None:
        """What brings the terminal back from here."""
        other = 1 - self._page[0]
        at = 4096 + other * _COPY_BYTES
        reset = reset[: _COPY_BYTES - _LENGTH.size]
        self._page[at : at + _LENGTH.size + len(reset)] = _LENGTH.pack(len(reset)) + reset
        self._page[0] = other

    def dismiss(self) -> None:
        """The viewer has restored everything itself."""
        with contextlib.suppress(OSError):
            os.write(self._write_end, _FAREWELL)
        os.close(self._write_end)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._page.close()

    def _be_guard(self, tty: int, cooked: list[Any], raw: list[Any]) -> None:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        keep = sorted((tty, self._read_end))
        os.closerange(0, keep[0])
        os.closerange(keep[0] + 1, keep[1])
        os.closerange(keep[1] + 1, 1 << 16)
        if os.read(self._read_end, 1) == _FAREWELL:
            return
        with contextlib.suppress(OSError):
            write_all(tty, self._noted())
        with contextlib.suppress(termios.error):
            if termios.tcgetattr(tty) == raw:
                termios.tcsetattr(tty, termios.TCSANOW, cooked)

    def _noted(self) -> bytes:
        at = 4096 + self._page[0] * _COPY_BYTES
        (length,) = _LENGTH.unpack_from(self._page, at)
        return self._page[at + _LENGTH.size : at + _LENGTH.size + length]


def write_all(tty: int, data: bytes) -> None:
    """A terminal that takes nothing for so long is left as it is."""
    deadline_s = time.monotonic() + LAST_WORDS_S
    while data and (left_s := deadline_s - time.monotonic()) > 0:
        select.select([], [tty], [], left_s)
        with contextlib.suppress(BlockingIOError):
            data = data[os.write(tty, data) :]
