"""One timed capture: from the moment the first producer starts until the files hold every byte.

The producer stamps its own start, so the start of the tool is not in the time; neither is its CPU, nor the
producer's. How far a file has come is asked at half the time that is left by estimate, so that looking costs nothing
and the end is seen within a per cent. A tool that loses bytes never reaches the end: then the last growth is the end,
and the loss is reported."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import family, gate, producer
from tests.bench.compiled import compiled
from tests.bench.fleet import Fleet, Io, Job

READY_MAX_S = 60.0
RUN_MAX_S = 300.0
QUIET_S = 2.0  # no growth for so long after the producers' end: the rest is lost
STUCK_S = 20.0  # no growth for so long though a producer has not ended: the tool is stuck or dead
SETTLE_S = 0.1  # whoever started the programs goes to sleep before the clock starts


@dataclass(frozen=True, slots=True)
class Result:
    seconds: float
    bytes_written: int
    bytes_expected: int
    intact: bool  # the digest of every file is right
    cpu_s: float  # of the tool, without the producers
    others: float  # CPUs kept busy by other users of the machine

    @property
    def mb_per_s(self) -> float:
        return self.bytes_written / self.seconds / 1e6

    @property
    def cpu_s_per_gb(self) -> float:
        return self.cpu_s / self.bytes_written * 1e9 if self.bytes_written else 0.0

    @property
    def short_bytes(self) -> int:
        return self.bytes_expected - self.bytes_written


@dataclass(frozen=True, slots=True)
class Capture:
    production: producer.Production
    sessions: int
    io: Io
    work_dir: Path

    def measure(self, fleet: Fleet) -> Result:
        directory = Path(tempfile.mkdtemp(prefix="run-", dir=self.work_dir))
        gates = [gate.Gate.made(directory, f"s{n}") for n in range(self.sessions)]
        jobs = [self._job(directory, one, n) for n, one in enumerate(gates)]
        try:
            fleet.start(jobs, directory)
            gate.wait_for_producers(gates, READY_MAX_S)
            time.sleep(SETTLE_S)
            return self._timed(fleet, gates, jobs)
        finally:
            gate.open_all(gates)
            fleet.stop()
            family.sweep()
            shutil.rmtree(directory, ignore_errors=True)

    def _job(self, directory: Path, one: gate.Gate, number: int) -> Job:
        program = compiled("produce.c", self.work_dir)
        argv = self.production.argv(program, one.path, one.stamp_path)
        return Job(f"s{number}", argv, directory / f"s{number}.log", self.io)

    def _timed(self, fleet: Fleet, gates: Sequence[gate.Gate], jobs: Sequence[Job]) -> Result:
        expected_bytes = self.production.expected_bytes * len(jobs)
        before, before_s = family.Cpu.now(), time.monotonic()
        gate.open_all(gates)
        end_s = self._wait_until_full(fleet, gates, jobs, expected_bytes)
        stamps = [_final_stamp(one) for one in gates]
        after, after_s = family.Cpu.now(), time.monotonic()
        return Result(
            seconds=end_s - min(stamp.start_s for stamp in stamps),
            bytes_written=self._arrived(fleet, jobs),
            bytes_expected=expected_bytes,
            intact=all(self._intact(fleet, job) for job in jobs),
            cpu_s=max(0.0, after.family_s - before.family_s - sum(stamp.cpu_s for stamp in stamps)),
            others=max(0.0, after.others_s - before.others_s) / (after_s - before_s),
        )

    def _arrived(self, fleet: Fleet, jobs: Sequence[Job]) -> int:
        return sum(min(_payload_bytes(fleet, job), self.production.expected_bytes) for job in jobs)

    def _intact(self, fleet: Fleet, job: Job) -> bool:
        size_bytes = self.production.expected_bytes
        if _payload_bytes(fleet, job) < size_bytes:
            return False
        found = producer.file_digest(fleet.log_path(job), fleet.header_bytes(job), size_bytes)
        return found == producer.expected_digest(self.production)

    def _wait_until_full(
        self, fleet: Fleet, gates: Sequence[gate.Gate], jobs: Sequence[Job], expected_bytes: int
    ) -> float:
        start_s = grown_s = time.monotonic()
        arrived = 0
        while True:
            now_s = time.monotonic()
            if (found := self._arrived(fleet, jobs)) > arrived:
                arrived, grown_s = found, now_s
            if arrived >= expected_bytes or now_s - start_s > RUN_MAX_S:
                return grown_s
            quiet_s = now_s - grown_s
            if quiet_s > STUCK_S or (quiet_s > QUIET_S and all(one.stamp() for one in gates)):
                return grown_s
            left_s = (now_s - start_s) * (expected_bytes / max(1, arrived) - 1)
            time.sleep(min(0.02, max(0.0005, left_s / 2)))


def _payload_bytes(fleet: Fleet, job: Job) -> int:
    try:
        return max(0, fleet.log_path(job).stat().st_size - fleet.header_bytes(job))
    except FileNotFoundError:
        return 0


def _final_stamp(one: gate.Gate) -> gate.Stamp:
    deadline_s = time.monotonic() + 5.0
    while (stamp := one.stamp()) is None:
        if time.monotonic() > deadline_s:
            raise gate.GateTimeoutError(f"{one.stamp_path.name}: its producer never came to its end")
        time.sleep(0.002)
    return stamp
