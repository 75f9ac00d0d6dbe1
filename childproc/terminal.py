"""The terminal as its worker sees it: size, modes and signals, through the master.

Facts. A size that does not change raises no SIGWINCH. The master answers tcgetattr with the program's own modes.
Input that the program does not read piles up in the kernel, a Ctrl-C behind it: TIOCSIG reaches the foreground group
past all of it. ptyprocess is given a duplicate of the master, and is told at once that it is closed, because its
destructor would close and kill.
"""

import contextlib
import fcntl
import os
import signal
import struct
import termios
from typing import NamedTuple

from ptyprocess import PtyProcess

from ipc.frames import Resize

_TIOCSIG = 0x40045436
_TIOCGPTPEER = 0x5441
_STUCK_BYTES = 2048
_SIGNAL_CHARS = ((termios.VINTR, signal.SIGINT), (termios.VQUIT, signal.SIGQUIT), (termios.VSUSP, signal.SIGTSTP))

_DISABLED = b"\0"


class _Modes(NamedTuple):
    input: int
    local: int
    chars: list[bytes]


class Terminal:
    def __init__(self, master: int, program_pid: int) -> None:
        self._master = master
        self._process = PtyProcess(program_pid, os.dup(master))
        self._process.closed = True

    def size(self) -> Resize:
        rows, cols = self._process.getwinsize()
        return Resize(cols, rows)

    def resize(self, size: Resize) -> None:
        self._process.setwinsize(size.rows, size.cols)

    def line_ends(self) -> bytes | None:
        """The characters that end a line of input, or throw it away; None if there are no lines: not canonical."""
        modes = self._modes()
        if not modes.local & termios.ICANON:
            return None
        places = [termios.VEOF, termios.VKILL, termios.VEOL]
        if modes.local & termios.IEXTEN:
            places.append(termios.VEOL2)
        if modes.local & termios.ISIG and not modes.local & termios.NOFLSH:
            places += [place for place, _ in _SIGNAL_CHARS]
        ends = {b"\n", *(modes.chars[place] for place in places)} - {_DISABLED}
        if modes.input & termios.ICRNL:
            ends.add(b"\r")
        return b"".join(sorted(ends))

    def end_of_file(self) -> bytes:
        """The character that means end of file now."""
        return self._modes().chars[termios.VEOF]

    def signal_for(self, data: bytes) -> signal.Signals | None:
        """The signal that this input stands for in the program's present modes."""
        if len(data) != 1:
            return None
        modes = self._modes()
        if not modes.local & termios.ISIG:
            return None
        return next((number for place, number in _SIGNAL_CHARS if modes.chars[place] == data), None)

    def is_stuck(self) -> bool:
        """The program leaves its input unread."""
        try:
            slave = fcntl.ioctl(self._master, _TIOCGPTPEER, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # EBUSY: the program wants it for itself (TIOCEXCL), so nobody can look
            return False
        try:
            waiting = fcntl.ioctl(slave, termios.FIONREAD, struct.pack("i", 0))
        finally:
            os.close(slave)
        return int(struct.unpack("i", waiting)[0]) >= _STUCK_BYTES

    def interrupt(self, number: signal.Signals) -> None:
        """What the character would have done: the foreground group gets the signal, unread input is gone."""
        termios.tcflush(self._master, termios.TCOFLUSH)
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._master, _TIOCSIG, int(number))

    def _modes(self) -> _Modes:
        modes = termios.tcgetattr(self._master)
        chars = [char if isinstance(char, bytes) else bytes([char]) for char in modes[6]]
        return _Modes(modes[0], modes[3], chars)
