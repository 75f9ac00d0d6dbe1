"""What a router says when it dies of itself, for the next one to read: which of its threads fell, and where.

Facts. SIGSEGV and SIGBUS end the whole process, whichever thread met them; the exit status does not say which. A
router with several lanes serves several sessions at any instant, and only one of them can be what it died of.
`faulthandler` writes "Current thread 0x…" and that thread's stack, among those of the others, from within the signal.

Design. A file beside the rings: one line for each thread that has a bell, then whatever the death adds. Without a
death it stays that short; a router that somebody killed says nothing.
"""

import faulthandler
import os
import re
import threading
import traceback
from typing import NamedTuple

_THREAD = re.compile(r"^thread (\d+) bell (\d+)$", re.MULTILINE)
_CURRENT = re.compile(r"^Current thread 0x([0-9a-f]+)", re.MULTILINE)
_SAID = re.compile(r"^(?:Fatal Python error|Fell over): .*$", re.MULTILINE)
_FRAME = re.compile(r"^  File .*$", re.MULTILINE)
_MOST_BYTES = 1 << 16


class Death(NamedTuple):
    """`bell` is that of the thread that fell, None if it served nobody."""

    bell: int | None
    what: str


class LastWords:
    def __init__(self, ring_dir: str) -> None:
        self._path = f"{ring_dir}/router.died"
        self._fd = -1

    def of_predecessor(self) -> Death | None:
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                return death_in(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return None

    def begin(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._path, flags, 0o600)
        faulthandler.enable(self._fd)

    def note_thread(self, ident: int, bell: int) -> None:
        os.write(self._fd, b"thread %d bell %d\n" % (ident, bell))

    def say(self, error: BaseException) -> None:
        """In the thread that fell over it."""
        frames = "".join(traceback.format_exception(error))
        os.write(self._fd, f"Fell over: {error!r}\nCurrent thread {threading.get_ident():#x}\n{frames}".encode())


def death_in(text: str) -> Death | None:
    current = _CURRENT.search(text)
    if current is None:
        return None
    bells = {int(ident): int(bell) for ident, bell in _THREAD.findall(text)}
    said = _SAID.search(text)
    where = _FRAME.search(text, current.end())
    return Death(bells.get(int(current[1], 16)), f"{said[0] if said else ''}{where[0] if where else ''}")
