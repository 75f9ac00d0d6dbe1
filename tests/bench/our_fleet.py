"""Our own installation around the jobs of a benchmark: keeper, workers and router as they ship, salvage on."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from childproc.spec import Io as ProgramIo
from ipc import ring_layout as at
from ipc.log_retention import LogPolicy, Retention
from ipc.ring_file import open_ring
from ipc.sink_spec import LogSpec
from tests.bench.fleet import Io, Job
from tests.support.fleet import RunningFleet
from tests.support.keeper import program


class OurFleet:
    name = "ringvisor"

    def __init__(self) -> None:
        self._fleet: RunningFleet | None = None
        self._shm_dir = f"/dev/shm/ringvisor-bench-{os.getpid()}"
        self._jobs: Sequence[Job] = ()
        self.salvage_was_on = True

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return f"Python {sys.version.split()[0]}"

    def start(self, jobs: Sequence[Job], directory: Path) -> None:
        os.makedirs(self._shm_dir, mode=0o700)
        self._jobs = jobs
        self._fleet = fleet = RunningFleet(self._shm_dir, str(directory))
        for job in jobs:
            fleet.create(job.name, log=_log_spec(job))
        for job in jobs:
            io = ProgramIo.PTY if job.io is Io.PTY else ProgramIo.PIPE
            fleet.start(job.name, program(*job.argv, io=io, cols=120))

    def pids(self) -> Mapping[str, Sequence[int]]:
        assert self._fleet
        table = self._fleet.supervisor.table()
        services = {row.name: [row.pid] for row in table.services}
        return {**services, "keeper": [self._fleet.pid], "worker": [row.worker_pid for row in table.sessions]}

    def log_path(self, job: Job) -> Path:
        return job.log

    def header_bytes(self, job: Job) -> int:  # noqa: ARG002 - peers have one
        return 0

    def stop(self) -> None:
        if self._fleet is None:
            return
        for job in self._jobs:
            q = open_ring(self._fleet.ring_dir, job.name).q
            self.salvage_was_on &= q[at.W_ARMED_BYTES] > 0 or q[at.W_COMMIT] <= 1  # BEGIN alone: nothing was read
        assert self.salvage_was_on, "a worker read without arming"
        self._fleet.close()
        self._fleet = None
        shutil.rmtree(self._shm_dir)


def _log_spec(job: Job) -> LogSpec:
    policy = LogPolicy(max_bytes=job.rotate_bytes or None)
    retention = Retention(keep=1 if job.rotate_bytes else None)
    return LogSpec(str(job.log.parent), job.log.name, f"{job.log.name}.err", policy=policy, retention=retention)
