"""A terminal's next size: storms coalesce, the last wish wins, and the ring learns of it first.

The frame is committed before the terminal changes, so that nothing that is drawn for the new size comes before it. In
a full ring the wish stays until a reader makes room, whose bell brings the worker back. A worker that was killed
between frame and terminal leaves a ring that says what is not so: the next one says once more what is.
"""

from childproc.terminal import Terminal
from ipc.frames import Kind, Resize, encode_resize
from ipc.ring_writer import RingWriter

_PAUSE_S = 0.05


class Resizing:
    def __init__(self, terminal: Terminal | None, writer: RingWriter) -> None:
        self._terminal = terminal
        self._writer = writer
        self._announced: Resize | None = None
        self._wanted: Resize | None = None
        self._due_s = 0.0
        self._blocked = False

    def announced(self, size: Resize) -> None:
        """The ring says so already."""
        self._announced = size

    def ask(self, size: Resize) -> None:
        if self._terminal:
            self._wanted = size

    def deadline_s(self) -> float | None:
        """A wish that waits for room waits for a bell, not for a time."""
        return None if self._wanted is None or self._blocked else self._due_s

    def apply_if_due(self, now_s: float) -> None:
        if self._terminal is None or self._wanted is None or now_s < self._due_s:
            return
        if not self._wanted == self._announced == self._terminal.size():
            self._blocked = not self._announce(self._wanted)
            if self._blocked:
                return
            self._terminal.resize(self._wanted)
            self._due_s = now_s + _PAUSE_S
        self._wanted = None

    def _announce(self, size: Resize) -> bool:
        while not self._writer.put(Kind.RESIZE, encode_resize(size)):
            if self._writer.prepare_wait():
                return False
        self._announced = size
        return True
