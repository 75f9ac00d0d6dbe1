"""The terminal as its worker sees it: size, modes and input, through the master.

Facts. A size that does not change raises no SIGWINCH. The master answers tcgetattr with the program's own modes.
Input that the program does not read piles up in two places: up to 4095 bytes in the terminal itself, and what does
not fit there in the kernel's queue in front of it. A Ctrl-C behind a full terminal stays in the queue, unseen; one
that is seen throws all unread input away. Flushing the slave's input empties both, flushing the master's output only
the queue. ptyprocess is given a duplicate of the master, and is told at once that it is closed,
because its destructor would close and kill.
"""

import contextlib
import fcntl
import os
import termios
from typing import NamedTuple

from ptyprocess import PtyProcess

from ipc.frames import Resize

_TIOCGPTPEER = 0x5441
_SIGNAL_PLACES = (termios.VINTR, termios.VQUIT, termios.VSUSP)
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
        if modes.local & (termios.ISIG | termios.NOFLSH) == termios.ISIG:
            places += _SIGNAL_PLACES
        ends = {b"\n", *(modes.chars[place] for place in places)} - {_DISABLED}
        if modes.input & termios.ICRNL:
            ends.add(b"\r")
        return b"".join(sorted(ends))

    def end_of_file(self) -> bytes:
        """The character that means end of file now."""
        return self._modes().chars[termios.VEOF]

    def sweeps(self, data: bytes) -> bool:
        """Whether this makes the terminal throw away all input before it: Ctrl-C and its like, as long as the program
        wants them and did not ask to keep its input (NOFLSH)."""
        modes = self._modes()
        if modes.local & (termios.ISIG | termios.NOFLSH) != termios.ISIG:
            return False
        chars = {modes.chars[place] for place in _SIGNAL_PLACES} - {_DISABLED}
        return any(char in data for char in chars)

    def flush_input(self) -> None:
        """Whatever the program has not read is gone."""
        with contextlib.suppress(OSError):  # EBUSY: the program wants it for itself (TIOCEXCL)
            slave = fcntl.ioctl(self._master, _TIOCGPTPEER, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                termios.tcflush(slave, termios.TCIFLUSH)
            finally:
                os.close(slave)

    def _modes(self) -> _Modes:
        modes = termios.tcgetattr(self._master)
        chars = [char if isinstance(char, bytes) else bytes([char]) for char in modes[6]]
        return _Modes(modes[0], modes[3], chars)
