"""One fd that the program writes to, read straight into the ring.

Facts. A terminal gives at most 4095 bytes a read at rest; several reads into one armed window make one frame, and
what a killed worker had read of them is salvaged together. A terminal whose last holder is gone answers EIO, and EIO
goes away when somebody opens it again; a pipe answers with an empty read, for good. A terminal in cooked mode gives
short reads although there is more, in a moment: only a refused read flushes what is under way in the kernel, so only
that proves that nothing is left. As long as the program lives a short read will do, and saves the second call.
"""

import errno
import fcntl
import os
from enum import Enum, auto

from ipc.frames import Kind
from ipc.ring_writer import RingWriter


class Pumped(Enum):
    MORE = auto()  # there may be more right now
    EMPTY = auto()  # nothing left for the moment
    FULL = auto()  # the ring has no room: the program waits
    ENDED = auto()  # every holder of the other end is gone


class Source:
    __slots__ = ("_may_reopen", "_shortest_full_read", "_window_bytes", "fd", "held_bytes", "kind", "open")

    def __init__(
        self,
        fd: int,
        kind: Kind,
        *,
        window_bytes: int,
        shortest_full_read: int,
        may_reopen: bool,
        held_bytes: int,
    ) -> None:
        self.held_bytes = held_bytes
        self.fd = fd
        self.kind = int(kind)
        self.open = True
        self._window_bytes = window_bytes
        self._shortest_full_read = shortest_full_read
        self._may_reopen = may_reopen

    def pump(self, writer: RingWriter) -> Pumped:
        """Fill one window, or as much of it as there is."""
        window = writer.arm(self.kind, self._window_bytes)
        if window is None:
            return Pumped.FULL
        filled, outcome = 0, Pumped.MORE
        readv, fd, size, full = os.readv, self.fd, len(window), self._shortest_full_read
        try:
            while filled < size:
                count = readv(fd, (window[filled:],) if filled else (window,))
                filled += count
                if count < full:
                    outcome = Pumped.EMPTY if count else Pumped.ENDED
                    break
        except BlockingIOError:
            outcome = Pumped.EMPTY
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            outcome = Pumped.ENDED
        if filled:
            writer.commit(filled)
        self.open = outcome is not Pumped.ENDED
        return outcome

    def doubt_short_reads(self) -> None:
        """From now on EMPTY is a proof."""
        self._shortest_full_read = 1

    @property
    def is_pipe(self) -> bool:
        return not self._may_reopen

    @property
    def finished(self) -> bool:
        """Nothing can ever come again."""
        return not self.open and not self._may_reopen


_TERMINAL_HELD_BYTES = 1 << 16


def terminal_source(master: int) -> Source:
    return Source(
        master,
        Kind.OUT,
        window_bytes=1 << 16,
        shortest_full_read=4095,
        may_reopen=True,
        held_bytes=_TERMINAL_HELD_BYTES,
    )


def pipe_source(fd: int, kind: Kind) -> Source:
    held_bytes = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    return Source(fd, kind, window_bytes=1 << 18, shortest_full_read=1 << 16, may_reopen=False, held_bytes=held_bytes)
