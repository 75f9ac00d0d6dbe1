"""supervisord: stdout_logfile capture in one process, and what its operator has. Its programs get a pipe, never a
terminal."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.bench import family
from tests.bench.fleet import Job, Peer
from tests.bench.installed import answer, pip_install, tool
from tests.bench.operated import Installation, Operator, Program, wait_until

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

CONTROL = """[unix_http_server]
file=%(here)s/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(here)s/supervisor.sock
"""
OPERATED = """[program:{name}]
command={command}
stdout_logfile=%(here)s/{name}.log
stderr_logfile=NONE
autostart={always}
autorestart={always}
startsecs=0
"""
UP_MAX_S = 60.0


def _launch(jobs: Sequence[Job], directory: Path) -> None:
    config = directory / "supervisord.conf"
    config.write_text(GLOBAL + "".join(map(_program, jobs)))
    family.spawn([str(tool("supervisord")), "-n", "-c", str(config)], directory)


def _program(job: Job) -> str:
    command = shlex.join(job.argv).replace("%", "%%")
    return PROGRAM.format(
        name=job.name, command=command, log=job.log, rotate_bytes=job.rotate_bytes, backups=int(job.rotate_bytes > 0)
    )


def _launch_operated(programs: Sequence[Program], directory: Path) -> Operator:
    config = directory / "supervisord.conf"
    described = (
        OPERATED.format(name=one.name, command=shlex.join(one.argv), always=str(one.always).lower()) for one in programs
    )
    config.write_text(GLOBAL + CONTROL + "".join(described))
    daemon = family.spawn([str(tool("supervisord")), "-n", "-c", str(config)], directory)
    operator = Operator([str(tool("supervisorctl")), "-c", str(config)], lambda: daemon.pid, family.sweep, {})
    wait_until("supervisord answers", (directory / "supervisor.sock").exists, UP_MAX_S)
    return operator


def _version() -> str:
    return answer(str(tool("supervisord")), "--version")


def _missing() -> str | None:
    return None if _version() else pip_install("supervisor")


def _version_in_words() -> str:
    return "supervisor " + _version()


SUPERVISORD = Peer("supervisord (pipe)", _missing, _version_in_words, _launch)

SUPERVISORD_OPERATED = Installation("supervisord", _missing, _version_in_words, _launch_operated)
