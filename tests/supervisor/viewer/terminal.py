"""A terminal with a program in it: the test holds the master, sees what a person would see, and types.

Nothing sleeps: `until` reads what the program writes and looks at its condition after each piece. Like a real terminal
it answers questions, unless it is told not to.
"""

import contextlib
import copy
import fcntl
import os
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import pyte

PATIENCE_S = 20.0
_ANSWERS = {b"\x1b[5n": b"\x1b[0n", b"\x1b[c": b"\x1b[?62;22c", b"\x1b[6n": b"\x1b[1;1R", b"\x1b[>c": b"\x1b[>1;2;0c"}
_QUESTION = re.compile(b"|".join(map(re.escape, _ANSWERS)))
_ALTERNATE = 1049 << 5  # as pyte numbers private modes


class _TwoScreens(pyte.Screen):
    """pyte knows no alternate screen."""

    def __init__(self, cols: int, rows: int) -> None:
        self._main: tuple[Any, Any] | None = None
        super().__init__(cols, rows)

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        super().set_mode(*modes, **kwargs)
        if kwargs.get("private") and 1049 in modes and self._main is None:
            self._main = copy.deepcopy(self.buffer), copy.copy(self.cursor)
            self.erase_in_display(2)

    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        super().reset_mode(*modes, **kwargs)
        if kwargs.get("private") and 1049 in modes and self._main is not None:
            self.buffer, self.cursor = self._main
            self._main = None
            self.dirty.update(range(self.lines))

    def select_graphic_rendition(self, *attributes: int, **kwargs: Any) -> None:
        """pyte takes xterm's CSI > m for colours."""
        if not kwargs.get("private"):
            super().select_graphic_rendition(*attributes)

    @property
    def is_alternate(self) -> bool:
        return self._main is not None


class Terminal:
    def __init__(
        self, argv: Sequence[str], *, cols: int = 80, rows: int = 24, answers: bool = True, draws: bool = True
    ) -> None:
        self._answers = answers
        self._draws = draws
        self.screen = _TwoScreens(cols, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.output = bytearray()
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        self.resize(cols, rows)
        self.modes_before = termios.tcgetattr(self.slave)
        self.pid = self._start(argv)
        self.pidfd = os.pidfd_open(self.pid)
        self.status: int | None = None

    def _start(self, argv: Sequence[str]) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            os.closerange(3, 4096)
            for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": os.getcwd()}
            os.execve(argv[0], list(argv), environment)
        finally:
            os._exit(127)

    # --- a person ---

    def type(self, data: bytes) -> None:
        """A paste that the program does not take at once waits for it."""
        while data:
            try:
                data = data[os.write(self.master, data) :]
            except BlockingIOError:
                self._read(0.01)

    def resize(self, cols: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, cols, 0, 0))
        self.screen.resize(rows, cols)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip()

    def until(self, condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        deadline_s = time.monotonic() + patience_s
        while not condition():
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"waited in vain; the screen:\n{self.text}\n{bytes(self.output[-2000:])!r}"
            self._read(min(left_s, 0.25))

    def until_text(self, text: str) -> None:
        self.until(lambda: text in self.text)

    def until_quiet(self, quiet_s: float = 0.3) -> None:
        """Nothing is written for so long."""
        while self._read(quiet_s):
            pass

    def _read(self, wait_s: float) -> bool:
        ready, _, _ = select.select([self.master, self.pidfd], [], [], wait_s)
        if self.pidfd in ready:
            self._collect()
        try:
            data = os.read(self.master, 1 << 16)
        except (BlockingIOError, OSError):
            return False
        self.output += data
        if self._draws:
            self._stream.feed(data)
        if self._answers:
            for question in _QUESTION.finditer(data):
                os.write(self.master, _ANSWERS[question[0]])
        return True

    # --- its end ---

    def _collect(self) -> None:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)

    def wait(self) -> int:
        self.until(lambda: self.status is not None)
        self.until_quiet(0.01)
        assert self.status is not None
        return self.status

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    @property
    def modes(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    @property
    def is_raw(self) -> bool:
        return not self.modes[3] & termios.ICANON

    @property
    def is_restored(self) -> bool:
        return self.modes == self.modes_before

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1

    def close(self) -> None:
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                self.kill()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        for fd in (self.master, self.slave, self.pidfd):
            if fd >= 0:
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ringctl(runtime_dir: str, *words: str) -> list[str]:
    """No daemon answers at that socket, and none is needed."""
    return [sys.executable, "-m", "supervisor.cli.main", "-s", f"{runtime_dir}/control.sock", *words]
