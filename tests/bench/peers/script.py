"""script(1) of util-linux: one process for each session, typescript into the file."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.bench import family
from tests.bench.fleet import Job, Peer
from tests.bench.installed import answer, tool

HEADER_MAX_BYTES = 4096


def _launch(jobs: Sequence[Job], directory: Path) -> None:
    for job in jobs:
        family.spawn([str(tool("script")), "-q", "-c", "exec " + shlex.join(job.argv), str(job.log)], directory)


def _header_bytes(job: Job) -> int:
    """The line "Script started on ..." comes first in the file, also with -q."""
    with job.log.open("rb") as log:
        start = log.read(HEADER_MAX_BYTES)
    return start.index(b"\n") + 1 if start.startswith(b"Script started") and b"\n" in start else 0


SCRIPT = Peer(
    "script -q -c",
    lambda: None if tool("script") else "apt install util-linux",
    lambda: answer("script", "--version"),
    _launch,
    _header_bytes,
)
