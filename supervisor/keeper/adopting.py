"""A keeper that comes where another one died: it finds what runs on, and takes hold of it.

It says who it is before it looks (childproc/worker_record.py says why). Programs and workers are known by their records
and held by pidfds, so that nothing which took over a pid is ever mistaken for one of them. The fds come from the
workers (see borrowing.py). What is made of all that is decided in adoption.py; the end of the old router and
supervisor is in services.py.
"""

import os
import time
from collections.abc import Mapping, Sequence

from msgspec import Struct

from childproc.exit_status import is_dead
from childproc.identity import Identity, open_pidfd
from childproc.job import LastWord, PipeFds, PtyFds
from childproc.worker_record import WorkerRecord, read_record, read_word
from ipc.ring_file import ring_path
from supervisor.keeper import borrowing
from supervisor.keeper.adoption import Found, adopted
from supervisor.keeper.fd_store import stored_streams
from supervisor.keeper.forking import ever_execed
from supervisor.keeper.log import log
from supervisor.keeper.records import Records
from supervisor.keeper.services import Service
from supervisor.keeper.table import ProgramState, Run, Table


class _Trace(Struct, frozen=True):
    """Of an epoch's last worker. -1: it is dead."""

    record: WorkerRecord
    pidfd: int


def adopt(
    ring_dir: str, runtime_dir: str, services: Sequence[Service], stored: Mapping[str, int] | None = None
) -> Table:
    """Empty where nothing is to be adopted. `services` learn whom they are to replace; `stored` (see fd_store) is ours
    to close."""
    stored = stored or {}
    records = Records(runtime_dir)
    left = records.services()
    records.keep_keeper(left)
    _find_services(services, left)
    sessions = records.sessions()
    runs = {record.session.name: record.session.run for record in sessions}
    traces = {name: trace for name, run in runs.items() if run and (trace := _trace(runtime_dir, name, run))}
    borrowed = _borrow({name: trace for name, trace in traces.items() if trace.pidfd >= 0 and trace.record.job.fds})
    found = {
        name: _look(
            run,
            traces.get(name),
            borrowed.get(name),
            read_word(runtime_dir, name),
            stored_streams(stored, name, run.epoch),
        )
        for name, run in runs.items()
        if run
    }
    for name in [name for name in runs if not _is_left(ring_dir, name, found.get(name))]:
        records.forget(name)
        del runs[name]
    table = adopted([record for record in sessions if record.session.name in runs], found, time.monotonic_ns())
    found_fds = {fd for one in found.values() for fd in one.open_fds()} | set(stored.values())
    for fd in found_fds.difference(table.open_fds()):
        os.close(fd)
    if sessions:
        log(_in_words(table))
    return table


def _find_services(services: Sequence[Service], left: dict[str, Identity]) -> None:
    for service in services:
        if (identity := left.get(service.spec.name)) and (pidfd := open_pidfd(identity)) >= 0:
            service.pid, service.start_ticks, service.pidfd = identity.pid, identity.start_ticks, pidfd


def _trace(runtime_dir: str, session: str, run: Run) -> _Trace | None:
    record = read_record(runtime_dir, session)
    if record is None or record.job.epoch != run.epoch:
        return None
    pidfd = open_pidfd(record.process)
    if pidfd >= 0 and is_dead(pidfd):
        os.close(pidfd)
        pidfd = -1
    return _Trace(record, pidfd)


def _borrow(workers: dict[str, _Trace]) -> dict[str, borrowing.Borrowed]:
    borrowed = borrowing.ask({name: worker.record for name, worker in workers.items()})
    for name in workers.keys() - borrowed.keys():
        try:
            borrowed[name] = borrowing.take(workers[name].pidfd, workers[name].record)
            log(f"the worker of {name} does not answer: its fds were taken")
        except OSError as error:
            log(f"the worker of {name} neither lends its fds nor can they be taken, they go when it goes: {error}")
    return borrowed


def _look(
    run: Run,
    worker: _Trace | None,
    lent: borrowing.Borrowed | None,
    word: LastWord | None,
    stored: PtyFds | PipeFds | None,
) -> Found:
    pidfd = lent.pidfd if lent else -1
    if pidfd < 0 and run.program is not ProgramState.GONE:
        pidfd = open_pidfd(Identity(run.pid, run.start_ticks))
    is_alive = worker is not None and worker.pidfd >= 0
    return Found(
        pidfd,
        has_run=worker is not None or pidfd < 0 or ever_execed(run.pid),
        worker_pid=worker.record.process.pid if worker and is_alive else 0,
        worker_pidfd=worker.pidfd if worker else -1,
        fds=lent.fds if lent else stored,
        word=word,
    )


def _is_left(ring_dir: str, session: str, found: Found | None) -> bool:
    """A container that starts again has the same boot, and a new tmpfs."""
    return os.path.exists(ring_path(ring_dir, session)) or (found is not None and bool(found.open_fds()))


def _in_words(table: Table) -> str:
    runs = [session.run for session in table.sessions.values() if session.run]
    alive = sum(1 for run in runs if run.program is not ProgramState.GONE)
    return f"another keeper was here: {len(table.sessions)} sessions, {alive} of their programs run"
