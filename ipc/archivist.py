"""Compresses rotated log parts and deletes those that are too many, on a thread of its own, behind everybody's back.

Each lane has one, so that a device that hangs keeps only its own parts waiting. What a router left undone when it
died is found when the next one begins to serve: all logs of a directory are looked for in one listing.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ipc.caps import Cap, read_cap
from ipc.log_archive import tidy
from ipc.log_disk import keep_below
from ipc.log_retention import Retention


class Job(NamedTuple):
    directory: str
    name: str
    retention: Retention
    compress: bool


class Archivist:
    def __init__(self, ring_dir: str, report: Callable[[str], None]) -> None:
        self._ring_dir = ring_dir
        self._report = report
        self._directories: set[str] = set()  # of all logs it ever heard of
        self._was_over = False
        self._jobs: queue.SimpleQueue[tuple[Job, bool] | None] = queue.SimpleQueue()
        self._waiting: set[Job] = set()
        self._thread = threading.Thread(target=self._run, name="archivist", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """From the lane's thread: a part was rotated."""
        self._add(job, rotated=True)

    def look_for_leftovers(self, job: Job) -> None:
        """From the lane's thread: there may be parts that nobody has tidied yet."""
        self._add(job, rotated=False)

    def _add(self, job: Job, *, rotated: bool) -> None:
        if job not in self._waiting:
            self._waiting.add(job)
            self._jobs.put((job, rotated))

    def stop(self) -> None:
        """After what it is doing; the rest is found again by the next one."""
        self._jobs.put(None)

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while batch := self._take_all():
            directories = {job.directory for job, rotated in batch if not rotated}
            left = {directory: logs_with_plain_parts(directory) for directory in directories}
            for job, rotated in batch:
                self._waiting.discard(job)
                if rotated or job.name in left[job.directory]:
                    self._tidy(job)
            self._directories.update(job.directory for job, _ in batch)
            self._keep_below_cap()

    def _take_all(self) -> list[tuple[Job, bool]]:
        """What there is to do, one at least; nothing once it is to stop."""
        batch: list[tuple[Job, bool]] = []
        while not batch or not self._jobs.empty():
            item = self._jobs.get()
            if item is None:
                return []
            batch.append(item)
        return batch

    def _tidy(self, job: Job) -> None:
        try:
            tidy(job.directory, job.name, job.retention, time.time_ns(), pack=job.compress)
        except Exception as error:  # noqa: BLE001 - a damaged part must not end the router
            self._report(f"log {job.name} in {job.directory} cannot be tidied: {error}; the next rotation tries again")

    def _keep_below_cap(self) -> None:
        try:
            cap_bytes = read_cap(self._ring_dir, Cap.LOGS)
            if not cap_bytes:
                return
            pruned = keep_below(self._directories, cap_bytes)
        except Exception as error:  # noqa: BLE001 - no reason to end the router
            self._report(f"fleet.log_disk_max cannot be kept: {error}; the next rotation tries again")
            return
        if pruned.deleted:
            parts = ", ".join(pruned.deleted)
            self._report(f"fleet.log_disk_max: deleted {parts}, {pruned.freed_bytes} bytes")
        if pruned.over_bytes and not self._was_over:
            self._report(
                f"logs take {pruned.over_bytes} bytes more than fleet.log_disk_max, and no rotated part is left to "
                "delete: raise it, or lower log.max_size"
            )
        self._was_over = pruned.over_bytes > 0


def logs_with_plain_parts(directory: str) -> frozenset[str]:
    try:
        return frozenset(_logs_of(os.listdir(directory)))
    except OSError:
        return frozenset()


def _logs_of(entries: Iterable[str]) -> Iterable[str]:
    for entry in entries:
        log, _, number = entry.rpartition(".")
        if number.isdigit():
            yield log
