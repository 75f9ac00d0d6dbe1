"""The limit of a pipe session: `program | cat > file`, over a pipe of the usual or of an enlarged size."""

import fcntl
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.bench.fleet import Job, Peer
from tests.bench.installed import answer

F_SETPIPE_SZ = 1031


def cat_behind(pipe_bytes: int) -> Peer:
    def launch(jobs: Sequence[Job], directory: Path) -> None:
        for job in jobs:
            _program_and_cat(job, directory, pipe_bytes)

    name = f"cat, {pipe_bytes >> 10} KB pipe"
    return Peer(name, lambda: None, lambda: answer("cat", "--version"), launch)


def _program_and_cat(job: Job, directory: Path, pipe_bytes: int) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, pipe_bytes)
    with job.log.open("wb") as log, os.fdopen(reading, "rb") as from_program, os.fdopen(writing, "wb") as to_cat:
        subprocess.Popen(["cat"], stdin=from_program, stdout=log, cwd=directory, start_new_session=True)
        subprocess.Popen(job.argv, stdin=subprocess.DEVNULL, stdout=to_cat, cwd=directory, start_new_session=True)
