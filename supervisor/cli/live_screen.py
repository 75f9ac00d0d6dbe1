"""A terminal borrowed for a live view: the other screen, keys as they are pressed, and everything back at the end,
however it ends. Ctrl-Z is off meanwhile: it would leave the shell with our screen.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType

_ENTER = "\x1b[?1049h\x1b[?25l"
_LEAVE = "\x1b[?25h\x1b[?1049l"


class LiveScreen:
    def __init__(self, wakeups: socket.socket) -> None:
        self._wakeups = wakeups
        self._stdin = sys.stdin.fileno()

    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        found = shutil.get_terminal_size()
        return found.columns, found.lines

    def draw(self, lines: list[str]) -> None:
        """From the top, each line to its end: nothing flickers."""
        body = "\x1b[K\n".join(lines)
        os.write(sys.stdout.fileno(), f"\x1b[H{body}\x1b[K\x1b[J".encode())

    def wait_key(self, timeout_s: float) -> str:
        """Empty: time is up, or the terminal has another size. EOF is q."""
        ready, _, _ = select.select([self._stdin, self._wakeups], [], [], timeout_s)
        if self._wakeups in ready:
            self._wakeups.recv(4096)
        if self._stdin in ready:
            return os.read(self._stdin, 64).decode(errors="replace") or "q"
        return ""


@contextlib.contextmanager
def live_screen() -> Iterator[LiveScreen]:
    stdin, stdout = sys.stdin.fileno(), sys.stdout.fileno()
    modes = termios.tcgetattr(stdin)
    ours, pythons = socket.socketpair()
    with ours, pythons, _signals(pythons):
        try:
            tty.setcbreak(stdin)
            os.write(stdout, _ENTER.encode())
            yield LiveScreen(ours)
        finally:
            with contextlib.suppress(OSError):  # the terminal itself may be gone
                os.write(stdout, _LEAVE.encode())
                termios.tcsetattr(stdin, termios.TCSAFLUSH, modes)


@contextlib.contextmanager
def _signals(wakeups: socket.socket) -> Iterator[None]:
    wakeups.setblocking(False)
    before = {number: signal.getsignal(number) for number in (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP)}
    stop = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    fd = signal.set_wakeup_fd(wakeups.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGWINCH, lambda *_: None)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd)
        signal.signal(signal.SIGTSTP, stop)
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
