"""What is measured: something that runs N programs and puts the output of each into its file.

`Fleet` is the one interface for our own installation and for every peer. A peer is a name, how to install it, and one
function that starts the tool; `Peer` does the rest the same way for all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from tests.bench import family


class Io(StrEnum):
    PTY = "pty"
    PIPE = "pipe"


@dataclass(frozen=True, slots=True)
class Job:
    """One program and the file its output belongs in. `rotate_bytes` > 0: start a new part there and keep at most one
    old one."""

    name: str
    argv: tuple[str, ...]
    log: Path
    io: Io
    rotate_bytes: int = 0


class Fleet(Protocol):
    @property
    def name(self) -> str: ...

    def missing(self) -> str | None:
        """What to install, or None when it can run here."""

    def version(self) -> str: ...

    def start(self, jobs: Sequence[Job], directory: Path) -> None:
        """Start all jobs and return once every program was started; `directory` is private and is removed
        afterwards."""

    def pids(self) -> Mapping[str, Sequence[int]]:
        """The installation's own processes by role, without the programs it runs."""

    def log_path(self, job: Job) -> Path:
        """Where the output of this job really goes (a tool that chooses names itself says so here)."""

    def header_bytes(self, job: Job) -> int:
        """Bytes of the tool's own that stand in the file before the program's."""

    def stop(self) -> None:
        """End everything that `start` began. Whoever remains is killed by the harness."""


def no_header(job: Job) -> int:
    return 0


@dataclass(slots=True)
class Peer:
    name: str
    missing: Callable[[], str | None]
    version: Callable[[], str]
    launch: Callable[[Sequence[Job], Path], None]
    header: Callable[[Job], int] = no_header
    _jobs: tuple[Job, ...] = field(default=(), init=False)

    def start(self, jobs: Sequence[Job], directory: Path) -> None:
        self._jobs = tuple(jobs)
        self.launch(jobs, directory)

    def pids(self) -> Mapping[str, Sequence[int]]:
        programs = {family.command_line(job.argv) for job in self._jobs}
        return {"all": [pid for pid in family.descendants() if family.command_line_of(pid) not in programs]}

    def log_path(self, job: Job) -> Path:
        return job.log

    def header_bytes(self, job: Job) -> int:
        return self.header(job)

    def stop(self) -> None:
        family.sweep()
