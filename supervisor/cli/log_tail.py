"""Following the end of a log through rotation, truncation and clearing: no byte twice, none left out.

A log that is rotated keeps its inode, so what is still to be read is in the file that is open; then the parts behind it
are read by their numbers, for it may have been rotated twice while nobody looked.

A log that is cut may have grown beyond the reader's place again before he looks. But a cut stands in the index before
any byte that was written after it: bytes that were read count once the index shows no cut that is new.
"""

import os
from collections.abc import Iterator, Sequence
from typing import IO

from ipc.log_directory import index_name, part_name
from ipc.log_index import RECORD_BYTES, Anchor, Cause, decode_header, slots
from ipc.log_reader import LogSnapshot, Part
from supervisor.cli.inotify import OF_A_DIRECTORY, OF_A_FILE, Inotify
from supervisor.cli.log_history import open_log
from supervisor.control.waiting import wait_for_input

_PIECE_BYTES = 1 << 18
_CUTS = frozenset({Cause.TRUNCATED, Cause.CLEARED, Cause.REPLACED})


class _CutWatch:
    """The index of a part, from a record on. Owns its file."""

    def __init__(self, file: IO[bytes], known_records: int) -> None:
        self._file = file
        self._next_record = known_records

    def close(self) -> None:
        self._file.close()

    def new_cut(self) -> int | None:
        """The lowest place at which the log was cut since."""
        self._file.seek(self._next_record * RECORD_BYTES)
        raw = self._file.read()
        records = list(slots(raw, self._next_record))
        self._next_record += len(records)
        cuts = [one.file_offset for one in records if isinstance(one, Anchor) and one.cause in _CUTS]
        return min(cuts, default=None)


def _watch_cuts(path: str, part: Part) -> _CutWatch | None:
    """None: it has no index, as ringvisord's own log."""
    if part.number is None or part.index is None:
        return None
    for name in (index_name(path), index_name(part_name(path, part.number))):
        try:
            file = open(name, "rb", buffering=0)  # noqa: SIM115 - the watch owns it
        except FileNotFoundError:
            continue
        header = decode_header(file.read(RECORD_BYTES))
        if header is not None and header.part == part.number:
            return _CutWatch(file, 1 + len(part.index.records) + len(part.index.damaged))
        file.close()
    return None


class LogTail:
    """Owns its files."""

    def __init__(self, path: str, snapshot: LogSnapshot) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._cuts: _CutWatch | None = None
        self._number: int | None = None
        self._offset = 0
        self._is_watched = False
        self._adopt(snapshot, from_start=False)

    def close(self) -> None:
        for owned in (self._file, self._cuts):
            if owned is not None:
                owned.close()
        self._file = self._cuts = None

    @property
    def is_watched(self) -> bool:
        """False: nobody tells of what is written to the file that is open now."""
        return self._is_watched

    def watch(self, inotify: Inotify) -> None:
        inotify.watch(os.path.dirname(self._path), OF_A_DIRECTORY)
        if self._file is not None:
            inotify.watch(f"/proc/self/fd/{self._file.fileno()}", OF_A_FILE)
        self._is_watched = True

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
        while self._file is not None:
            self._file.seek(self._offset)
            piece = self._file.read(_PIECE_BYTES)
            cut = self._cut(self._file)
            if cut is not None:
                self._offset = min(self._offset, cut)
            elif piece:
                self._offset += len(piece)
                yield piece
            else:
                return

    def _cut(self, file: IO[bytes]) -> int | None:
        if self._cuts is not None:
            return self._cuts.new_cut()
        return 0 if os.fstat(file.fileno()).st_size < self._offset else None

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
        self._is_watched = False
        for part in snapshot.parts:
            self._number = part.number
            if part.current:
                self._file = part.open()
                self._cuts = _watch_cuts(self._path, part)
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
            if all(tail.is_watched for tail in tails):
                wait_for_input(inotify.fileno())
                inotify.forget_events()
