"""circus: the real arbiter (circusd), a watcher for each session, its FileStream writes the output."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.bench import family
from tests.bench.fleet import Job, Peer
from tests.bench.installed import answer, pip_install, tool

GLOBAL = """[circus]
check_delay = 5
endpoint = ipc://{directory}/endpoint
pubsub_endpoint = ipc://{directory}/pubsub
"""
WATCHER = """[watcher:{name}]
cmd = {command}
numprocesses = 1
respawn = False
copy_env = True
stdout_stream.class = FileStream
stdout_stream.filename = {log}
"""


def _launch(jobs: Sequence[Job], directory: Path) -> None:
    config = directory / "circus.ini"
    watchers = (WATCHER.format(name=job.name, command=shlex.join(job.argv), log=job.log) for job in jobs)
    config.write_text(GLOBAL.format(directory=directory) + "".join(watchers))
    family.spawn([str(tool("circusd")), "--log-level", "error", str(config)], directory)


def _version() -> str:
    return answer(str(tool("circusd")), "--version")


CIRCUS = Peer(
    "circus FileStream (pipe)",
    lambda: None if _version() else pip_install("circus"),
    lambda: "circus " + _version(),
    _launch,
)
