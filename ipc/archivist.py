"""Compresses rotated log parts and deletes those that are too many, on a thread of its own, behind everybody's back."""

import queue
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from ipc.log_archive import ArchiveWrong, tidy
from ipc.log_retention import Retention


class Job(NamedTuple):
    directory: str
    name: str
    retention: Retention
    compress: bool


class Archivist:
    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="archivist")

    def put(self, job: Job) -> None:
        self._jobs.put(job)

    def stop(self) -> None:
        """After what it is doing; the rest is found again by the next one."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                tidy(job.directory, job.name, job.retention, time.time_ns(), pack=job.compress)
            except (OSError, ArchiveWrong) as error:
                self._report(
                    f"log {job.name} in {job.directory} cannot be tidied: {error}; the next rotation tries again"
                )
