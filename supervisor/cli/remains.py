"""What a fleet has left running, as far as its records tell: read where no daemon answers.

A record names a process by pid and start time, of one boot. Where the start time differs, the pid is somebody else's:
ours is gone, and that one is left alone. What cannot be read may stand for something that runs, so it stops everything.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from childproc.exit_status import is_dead
from childproc.identity import Identity, boot_id, identify, open_pidfd
from childproc.worker_record import keeper_path, read_record
from config.model import Fleet
from config.policies import StopSpec
from ipc.errors import UNREADABLE
from supervisor.cli.exits import Refusal
from supervisor.fleet_place import applied_fleet_path
from supervisor.keeper.records import KeeperRecord
from supervisor.keeper.table import ProgramState, SessionRecord

_T_co = TypeVar("_T_co", covariant=True)


class Remains(NamedTuple):
    """Each by what it is called, in words for the operator."""

    keeper: Identity | None
    services: dict[str, Identity]
    programs: dict[str, Identity]  # by session
    workers: dict[str, Identity]
    is_of_this_boot: bool = True

    @property
    def is_nothing(self) -> bool:
        return self.is_of_this_boot and self.keeper is None and not self.services and not self.programs


def read_remains(runtime_dir: str) -> Remains:
    boot = boot_id()
    keeper = _read(keeper_path(runtime_dir), msgspec.json.Decoder(KeeperRecord))
    if keeper is not None and keeper.boot_id != boot:
        return Remains(None, {}, {}, {}, is_of_this_boot=False)
    programs, workers = {}, {}
    for record in _session_records(runtime_dir):
        run, name = record.session.run, record.session.name
        if run is None or record.boot_id != boot:
            continue
        if run.program is not ProgramState.GONE and run.pid:
            programs[name] = Identity(run.pid, run.start_ticks)
        worker = read_record(runtime_dir, name)
        if worker is not None and worker.job.epoch == run.epoch:
            workers[name] = worker.process
    services = keeper.services if keeper else {}
    return Remains(Identity(keeper.pid, keeper.start_ticks) if keeper else None, services, programs, workers)


def _session_records(runtime_dir: str) -> Iterator[SessionRecord]:
    directory = f"{runtime_dir}/records"
    decoder = msgspec.msgpack.Decoder(SessionRecord)
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        if name.endswith(".rec") and (record := _read(f"{directory}/{name}", decoder)) is not None:
            yield record


class _Decoder(Protocol[_T_co]):
    def decode(self, data: bytes, /) -> _T_co: ...


def _read(path: str, decoder: _Decoder[_T_co]) -> _T_co | None:
    try:
        with open(path, "rb") as file:
            return decoder.decode(file.read())
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        raise Refusal(
            f"{path} cannot be read, and what it stands for may run: look with ps, then remove that file ({error})"
        ) from None


def stop_specs(runtime_dir: str) -> dict[str, StopSpec]:
    """As the fleet in force has them; where that cannot be read, the defaults are as good as any."""
    try:
        with open(applied_fleet_path(runtime_dir), "rb") as file:
            fleet = msgspec.msgpack.decode(file.read(), type=Fleet)
    except (OSError, *UNREADABLE):
        return {}
    return {name: spec.stop for name, spec in fleet.sessions.items()}


def hold(process: Identity) -> int:
    """A pidfd of it. -1: it is dead."""
    pidfd = open_pidfd(process)
    if pidfd >= 0 and is_dead(pidfd):
        os.close(pidfd)
        return -1
    return pidfd


def is_somebody_else(process: Identity) -> bool:
    """Its pid is in use again."""
    try:
        return identify(process.pid) != process
    except ProcessLookupError:
        return False
