"""Following the end of a log through rotation, truncation and clearing: no byte twice, none left out.

A log that is rotated keeps its inode, so what is still to be read is in the file that is open; then the parts behind it
are read by their numbers, for it may have been rotated twice while nobody looked.
"""

import os
import select
from collections.abc import Iterator, Sequence
from typing import IO

from ipc.log_reader import LogSnapshot
from supervisor.cli.inotify import OF_A_DIRECTORY, OF_A_FILE, Inotify
from supervisor.cli.log_history import open_log

_PIECE_BYTES = 1 << 18


class LogTail:
    """Owns its file."""

    def __init__(self, path: str, snapshot: LogSnapshot) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._number: int | None = None
        self._offset = 0
        self._adopt(snapshot, from_start=False)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def watch(self, inotify: Inotify) -> None:
        inotify.watch(os.path.dirname(self._path), OF_A_DIRECTORY)
        if self._file is not None:
            inotify.watch(f"/proc/self/fd/{self._file.fileno()}", OF_A_FILE)

    def read(self) -> Iterator[bytes]:
        """All that has come since."""
        while True:
            moved = self._has_moved()
            yield from self._read_open()
            if not moved:
                return
            yield from self._read_next_parts()

    def _has_moved(self) -> bool:
        try:
            status = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return False  # renamed, and the next part not begun
        return self._file is None or not os.path.samestat(status, os.fstat(self._file.fileno()))

    def _read_open(self) -> Iterator[bytes]:
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._offset:
            self._offset = 0  # cleared, or cut by somebody
        self._file.seek(self._offset)
        while piece := self._file.read(_PIECE_BYTES):
            self._offset += len(piece)
            yield piece

    def _read_next_parts(self) -> Iterator[bytes]:
        with open_log(self._path) as snapshot:
            for part in snapshot.parts:
                if part.current or self._number is None or part.number is None or part.number <= self._number:
                    continue
                file = part.open()
                if file is not None:
                    with file:
                        while piece := file.read(_PIECE_BYTES):
                            yield piece
            self._adopt(snapshot, from_start=True)

    def _adopt(self, snapshot: LogSnapshot, *, from_start: bool) -> None:
        self.close()
        for part in snapshot.parts:
            if part.current:
                self._file, self._number = part.open(), part.number
                self._offset = 0 if from_start else part.size_bytes


def follow(tails: Sequence[LogTail]) -> Iterator[tuple[int, bytes]]:
    """For ever: the number of a tail, and what is new of it."""
    with Inotify() as inotify:
        while True:
            for tail in tails:
                tail.watch(inotify)
            for number, tail in enumerate(tails):
                for piece in tail.read():
                    yield number, piece
            select.select([inotify], [], [])
            inotify.forget_events()
