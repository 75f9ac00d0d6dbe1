"""What the keeper leaves on disk, for the one that comes after it: who it is, its services, and its table.

<runtime_dir>/keeper.json             keeper and services, each with its start time
<runtime_dir>/records/<session>.rec   a session, the epoch that is under way, and its end until that is acknowledged

A record is written before what it says becomes true for others: a program before it is let go, a service likewise, an
end before the zombie is reaped. Each says of which boot it is; those of another boot are of nobody.

Trade-off. A disk that is full must not stop a fleet: the record is missing then, which is said, and matters only if
the keeper dies too.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping

import msgspec

from childproc import worker_record
from childproc.identity import Identity, boot_id, identify
from ipc.errors import UNREADABLE
from supervisor.keeper.log import log
from supervisor.keeper.messages import ProgramExited, StartFailed
from supervisor.keeper.table import Session, SessionRecord, Table

VERSION = 1
_SESSIONS = "records"
_SUFFIX = ".rec"


class KeeperRecord(msgspec.Struct, frozen=True):
    pid: int
    start_ticks: int  # field 22 of /proc/PID/stat
    boot_id: str
    services: dict[str, Identity] = {}


class Records:
    def __init__(self, runtime_dir: str) -> None:
        self._runtime_dir = runtime_dir
        self._keeper_path = worker_record.keeper_path(runtime_dir)
        self._sessions_dir = f"{runtime_dir}/{_SESSIONS}"
        self._boot_id = boot_id()
        for directory in (self._sessions_dir, f"{runtime_dir}/w"):
            os.makedirs(directory, mode=0o700, exist_ok=True)

    # ---- written

    def keep_keeper(self, services: Mapping[str, Identity]) -> None:
        me = identify(os.getpid())
        record = KeeperRecord(me.pid, me.start_ticks, self._boot_id, dict(services))
        self._write(self._keeper_path, msgspec.json.encode(record))

    def keep(self, session: Session, table: Table) -> None:
        report = table.reports.get(session.run.report) if session.run else None
        end = report if isinstance(report, ProgramExited | StartFailed) else None
        record = SessionRecord(VERSION, self._boot_id, session, end)
        self._write(self._path(session.name), msgspec.msgpack.encode(record))

    def forget(self, session: str) -> None:
        _unlink(self._path(session))
        worker_record.forget(self._runtime_dir, session)

    def clear(self) -> None:
        """Those of another boot, or none."""
        self.forget_keeper()
        for directory in (self._sessions_dir, f"{self._runtime_dir}/w"):
            for name in os.listdir(directory):
                _unlink(f"{directory}/{name}")

    def forget_keeper(self) -> None:
        """After an orderly end."""
        _unlink(self._keeper_path)

    def _path(self, session: str) -> str:
        return f"{self._sessions_dir}/{session}{_SUFFIX}"

    def _write(self, path: str, content: bytes) -> None:
        unnamed = f"{path}.new"
        try:
            fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.write(fd, content)
            finally:
                os.close(fd)
            os.rename(unnamed, path)
        except OSError as error:
            log(f"{path} cannot be written, a keeper that comes after this one will not know: {error}")

    # ---- read

    def sessions(self) -> list[SessionRecord]:
        """Of this boot."""
        return list(self._sessions())

    def _sessions(self) -> Iterator[SessionRecord]:
        for name in sorted(name for name in os.listdir(self._sessions_dir) if name.endswith(_SUFFIX)):
            try:
                with open(f"{self._sessions_dir}/{name}", "rb") as file:
                    record = msgspec.msgpack.decode(file.read(), type=SessionRecord)
            except (OSError, *UNREADABLE) as error:
                log(f"the record of {name} cannot be read, what it stands for is left alone: {error}")
                continue
            if record.boot_id == self._boot_id and record.version == VERSION:
                yield record

    def services(self) -> dict[str, Identity]:
        """Of the last keeper, if it lived in this boot."""
        try:
            with open(self._keeper_path, "rb") as file:
                record = msgspec.json.decode(file.read(), type=KeeperRecord)
        except (OSError, *UNREADABLE):
            return {}
        return record.services if record.boot_id == self._boot_id else {}


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
