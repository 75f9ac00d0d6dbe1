"""The terminal as its worker sees it: size, modes and signals, through the master.

Facts. A size that does not change raises no SIGWINCH. The master answers tcgetattr with the program's own modes.
Input that the program does not read piles up in the kernel, a Ctrl-C behind it: TIOCSIG reaches the foreground group
past all of it. ptyprocess is given a duplicate of the master, and is told that it is closed before it goes, because
its destructor would close and kill.
"""

import contextlib
import fcntl
import os
import signal
import struct
import termios

from ptyprocess import PtyProcess

from ipc.frames import Resize

_TIOCSIG = 0x40045436
_TIOCGPTPEER = 0x5441
_STUCK_BYTES = 2048
_SIGNAL_CHARS = ((termios.VINTR, signal.SIGINT), (termios.VQUIT, signal.SIGQUIT), (termios.VSUSP, signal.SIGTSTP))


class Terminal:
    def __init__(self, master: int, program_pid: int) -> None:
        self._master = master
        self._process = PtyProcess(program_pid, os.dup(master))

    def size(self) -> Resize:
        rows, cols = self._process.getwinsize()
        return Resize(cols, rows)

    def resize(self, size: Resize) -> bool:
        """False: it had that size already."""
        if self.size() == size:
            return False
        self._process.setwinsize(size.rows, size.cols)
        return True

    def is_canonical(self) -> bool:
        return bool(self._local_modes() & termios.ICANON)

    def end_of_file(self) -> bytes:
        """The character that means end of file now."""
        return self._control_char(termios.VEOF)

    def signal_for(self, data: bytes) -> signal.Signals | None:
        """The signal that this input stands for in the program's present modes."""
        if len(data) != 1 or not self._local_modes() & termios.ISIG:
            return None
        return next((number for place, number in _SIGNAL_CHARS if self._control_char(place) == data), None)

    def is_stuck(self) -> bool:
        """The program leaves its input unread."""
        slave = fcntl.ioctl(self._master, _TIOCGPTPEER, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
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

    def close(self) -> None:
        self._process.closed = True
        os.close(self._process.fd)

    def _local_modes(self) -> int:
        return int(termios.tcgetattr(self._master)[3])

    def _control_char(self, place: int) -> bytes:
        char = termios.tcgetattr(self._master)[6][place]
        return char if isinstance(char, bytes) else bytes([char])
