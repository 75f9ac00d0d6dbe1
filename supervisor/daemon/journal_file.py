"""The journal on disk: two parts, the older one read first. It is written before a decision is acted on.

A disk that is full is no reason to stop deciding: what could not be written is kept until it can be, as a new part
that says everything again.
"""

import os
import time
from collections.abc import Callable, Iterable

from supervisor.lifecycle.effects import Effect
from supervisor.lifecycle.events import Event
from supervisor.lifecycle.journal import Checkpoint, Decision, Journal, Opening, Record, decode_records
from supervisor.lifecycle.replay import Recovered, recover
from supervisor.lifecycle.session import Session


class JournalFile:
    def __init__(self, path: str, boot_id: str, report: Callable[[str], None]) -> None:
        self._path = path
        self._boot_id = boot_id
        self._report = report
        self._journal = Journal()
        self._fd = -1
        self._failing = False

    def recover(self) -> Recovered:
        """Of the supervisor before this one, damaged pieces left out."""
        records: list[Record] = []
        for path in (f"{self._path}.1", self._path):
            try:
                with open(path, "rb") as file:
                    decoded = decode_records(file.read())
            except FileNotFoundError:
                continue
            records += decoded.records
            if decoded.skipped or decoded.unreadable:
                self._report(f"{path} is damaged: {len(decoded.skipped) + decoded.unreadable} pieces left out")
        recovered = recover(records)
        self._journal.remember(recovered.decisions)
        return recovered

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
