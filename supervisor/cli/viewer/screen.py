"""The user's own terminal: raw while a session is shown in it, restored whatever happens.

The descriptor is one of our own, opened by the terminal's name: non-blocking is a property of the open file, which the
user's shell shares, and a killed viewer could not take it back. What the terminal does not take at once waits here, and
meanwhile nothing is read from the router: who lags too far is put ahead by it.
"""

import contextlib
import os
import termios
from typing import Any

from supervisor.cli.viewer.guard import Guard, write_all

HIGH_WATER_BYTES = 256 << 10
_READ_BYTES = 1 << 16
PUSH_TITLE, POP_TITLE = b"\x1b[22;0t", b"\x1b[23;0t"


class TerminalGone(Exception):  # noqa: N818 - says what happened
    """Closed, or hung up."""


class Screen:
    """`modes`: raw for a program on a terminal; line by line for one on pipes, where nobody else edits lines."""

    def __init__(self, tty: int, *, lines: bool) -> None:
        self.has_lines = lines
        self.fd = _opened_again(tty)
        self._cooked = termios.tcgetattr(self.fd)
        self._raw = _line_modes(self._cooked) if lines else _raw_modes(self._cooked)
        self._unwritten = bytearray()
        self._guard = Guard(self.fd, self._cooked, self._raw)
        self.enter()

    def enter(self) -> None:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self.fd, termios.TCSANOW, self._raw)

    def size(self) -> tuple[int, int]:
        """Columns, rows."""
        try:
            size = os.get_terminal_size(self.fd)
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def read(self) -> bytes | None:
        """None: nothing is there. Empty: the end of file that was typed in a terminal that works by lines."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise TerminalGone(str(error)) from error
        if not data and not self.has_lines:
            raise TerminalGone("it was hung up")
        return data

    @property
    def is_behind(self) -> bool:
        return len(self._unwritten) >= HIGH_WATER_BYTES

    @property
    def has_unwritten(self) -> bool:
        return bool(self._unwritten)

    def write(self, data: bytes) -> None:
        if not self._unwritten:
            data = data[self._take(data) :]
        self._unwritten += data

    def flush(self) -> None:
        while self._unwritten:
            taken = self._take(bytes(self._unwritten[:_READ_BYTES]))
            if not taken:
                return
            del self._unwritten[:taken]

    def _take(self, data: bytes) -> int:
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise TerminalGone(str(error)) from error

    def note_reset(self, reset: bytes) -> None:
        """What to write if we are killed now."""
        self._guard.note(reset + POP_TITLE)

    def leave(self, last_words: bytes) -> None:
        """The terminal as it was; what it has not taken yet is no longer wanted."""
        self._unwritten.clear()
        with contextlib.suppress(OSError):
            write_all(self.fd, last_words)
        with contextlib.suppress(termios.error):
            termios.tcflush(self.fd, termios.TCIFLUSH)
            termios.tcsetattr(self.fd, termios.TCSANOW, self._cooked)

    def close(self) -> None:
        """After `leave`."""
        self._guard.dismiss()
        os.close(self.fd)


def _opened_again(tty: int) -> int:
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(os.ttyname(tty), flags)
    except OSError:  # of another user, after su
        return os.open("/dev/tty", flags)


def _raw_modes(cooked: list[Any]) -> list[Any]:
    raw = [*cooked[:6], list(cooked[6])]
    raw[0] &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
        | termios.ICRNL | termios.IXON | termios.IXOFF
    )  # fmt: skip
    raw[1] &= ~termios.OPOST
    raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    return raw


def _line_modes(cooked: list[Any]) -> list[Any]:
    """Echo and editing by the kernel; Ctrl-\\ and Ctrl-C come through as characters that end a line."""
    modes = [*cooked[:6], list(cooked[6])]
    modes[3] &= ~termios.ISIG
    modes[3] |= termios.ECHO | termios.ICANON
    modes[6][termios.VEOL] = b"\x1c"
    return modes
