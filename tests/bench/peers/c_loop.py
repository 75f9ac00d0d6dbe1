"""The limit of a PTY session: a C loop that reads the master and writes the file, one process for each session."""

from collections.abc import Sequence
from pathlib import Path

from tests.bench import family
from tests.bench.compiled import compiled, compiler
from tests.bench.fleet import Job, Peer


def _missing() -> str | None:
    return None if compiler() else "apt install gcc libc6-dev"


def _launch(jobs: Sequence[Job], directory: Path) -> None:
    program = compiled("peers/c_loop.c", directory.parent)
    for job in jobs:
        family.spawn([str(program), str(job.log), *job.argv], directory)


C_LOOP = Peer("C read/write loop", _missing, lambda: "forkpty, 64 KB window", _launch)
