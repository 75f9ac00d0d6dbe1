"""The journal on disk, written before a decision is acted on: two parts, each of which begins with all that counts.

The older one is read only where the newer one is damaged or missing. A supervisor that finds the newer one whole, and
in it every session that it has, goes on writing there: to say all of it again is what a large fleet would wait for.

A disk that is full is no reason to stop deciding: what could not be written is kept until it can be, as a new part
that says everything again.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from supervisor.lifecycle.effects import Effect
from supervisor.lifecycle.events import Event
from supervisor.lifecycle.journal import Checkpoint, Decision, Journal, Opening, Record, decode_records
from supervisor.lifecycle.replay import Recovered, recover
from supervisor.lifecycle.session import Session


class _Part(NamedTuple):
    records: tuple[Record, ...]
    is_whole: bool
    size_bytes: int


_NO_PART = _Part((), is_whole=False, size_bytes=0)


class JournalFile:
    def __init__(self, path: str, boot_id: str, report: Callable[[str], None]) -> None:
        self._path = path
        self._boot_id = boot_id
        self._report = report
        self._journal = Journal()
        self._fd = -1
        self._failing = False
        self._found = _NO_PART

    def recover(self) -> Recovered:
        """Of the supervisor before this one, damaged pieces left out."""
        self._found = self._read(self._path)
        older = _NO_PART if self._found.is_whole else self._read(f"{self._path}.1")
        recovered = recover([*older.records, *self._found.records])
        self._journal.remember(recovered.decisions)
        return recovered

    def _read(self, path: str) -> _Part:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return _NO_PART
        decoded = decode_records(data)
        damages = len(decoded.skipped) + decoded.unreadable
        if damages:
            self._report(f"{path} is damaged: {damages} pieces left out")
        begins = bool(decoded.records) and isinstance(decoded.records[0], Opening)
        return _Part(decoded.records, begins and not damages, len(data))

    def go_on(self, recovered: Recovered, sessions: Collection[Session]) -> None:
        """After `recover`: behind the last record, if this part has all of them as they are; else in a new part."""
        found, self._found = self._found, _NO_PART
        is_told = all(recovered.sessions.get(session.name) is session for session in sessions)
        if not found.is_whole or recovered.boot_id != self._boot_id or not is_told:
            self.begin(sessions)
            return
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            self._failed(error)
            return
        self._journal.go_on(found.size_bytes)

    def begin(self, sessions: Iterable[Session]) -> None:
        """A new part that says where each session stands; the one before it is kept as the old one."""
        unnamed = f"{self._path}.new"
        try:
            fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            opening = Opening(time.time(), time.monotonic(), self._boot_id)
            _write_all(fd, self._journal.opening(opening, sessions))
            if os.path.exists(self._path):
                os.rename(self._path, f"{self._path}.1")
            os.rename(unnamed, self._path)
        except OSError as error:
            self._failed(error)
            return
        self.close()
        self._fd = fd
        self._failing = False

    def decided(self, event: Event, after: Session, effects: tuple[Effect, ...], now_s: float) -> None:
        self._append(self._journal.decided(Decision(time.time(), now_s, event, after, effects)))

    def added(self, session: Session) -> None:
        self._append(self._journal.added(Checkpoint(time.time(), time.monotonic(), session)))

    def recent(self, name: str) -> tuple[Decision, ...]:
        return self._journal.recent(name)

    def wants_new_part(self) -> bool:
        return self._journal.is_full or self._failing

    def _append(self, data: bytes) -> None:
        if self._fd < 0:
            return
        try:
            _write_all(self._fd, data)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        if not self._failing:
            self._report(f"the journal cannot be written: {error}; decisions go on, and are written once there is room")
        self._failing = True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
