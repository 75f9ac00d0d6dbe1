"""supervisord: stdout_logfile capture in one process. It gives its programs a pipe, never a terminal."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.bench import family
from tests.bench.fleet import Job, Peer
from tests.bench.installed import answer, pip_install, tool

GLOBAL = """[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=%(here)s/supervisord.pid
minfds=16384
"""
PROGRAM = """[program:{name}]
command={command}
stdout_logfile={log}
stdout_logfile_maxbytes={rotate_bytes}
stdout_logfile_backups={backups}
stderr_logfile=NONE
autorestart=false
startsecs=0
"""


def _launch(jobs: Sequence[Job], directory: Path) -> None:
    config = directory / "supervisord.conf"
    config.write_text(GLOBAL + "".join(map(_program, jobs)))
    family.spawn([str(tool("supervisord")), "-n", "-c", str(config)], directory)


def _program(job: Job) -> str:
    command = shlex.join(job.argv).replace("%", "%%")
    return PROGRAM.format(
        name=job.name, command=command, log=job.log, rotate_bytes=job.rotate_bytes, backups=int(job.rotate_bytes > 0)
    )


def _version() -> str:
    return answer(str(tool("supervisord")), "--version")


SUPERVISORD = Peer(
    "supervisord (pipe)",
    lambda: None if _version() else pip_install("supervisor"),
    lambda: "supervisor " + _version(),
    _launch,
)
