"""The real ringvisord around the programs of a benchmark, operated with the installed ringctl."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from supervisor.control.client import connect
from supervisor.control.messages import Answer, FollowEvents, Happened
from tests.bench.installed import tool
from tests.bench.operated import Installation, Operator, Program
from tests.support import leaks
from tests.support.daemon import RunningDaemon

_ENDED = "EXITED"  # BACKOFF and what else follows is told, too


def _session(program: Program) -> str:
    rules = 'restart = { policy = "always", delay = "0", max = 100000 }\n' if program.always else "autostart = false\n"
    return f"[session.{program.name}]\ncommand = {json.dumps(program.argv)}\nstart_seconds = 0\n{rules}"


def _launch(programs: Sequence[Program], directory: Path) -> Operator:
    name = f"bench-{os.getpid()}"
    daemon = RunningDaemon(directory, name, "".join(map(_session, programs)))
    daemon.status()
    socket = f"{daemon.runtime_dir}/control.sock"

    def stop() -> None:
        daemon.close()
        leaks.remove_shared(f"ringvisor-{os.geteuid()}-{name}")

    return Operator(
        [str(tool("ringctl")), "-s", socket],
        lambda: daemon.status().fleet.processes["supervisor"],
        stop,
        {},
        lambda: _Events(socket),
        survives=True,
    )


class _Events:
    def __init__(self, socket: str) -> None:
        self._client = connect(socket)
        self._answers: Iterator[Answer] = self._client.stream(FollowEvents(1, last=1), timeout_s=None)
        next(self._answers)  # an old one: from here on we are told

    def await_end(self) -> float:
        for answer in self._answers:
            if isinstance(answer, Happened) and answer.event == "state" and answer.state == _ENDED:
                return time.monotonic()
        raise EOFError("ringvisord tells nothing any more")

    def close(self) -> None:
        self._client.__exit__()


RINGVISORD = Installation("ringvisor", lambda: None, lambda: f"Python {sys.version.split()[0]}", _launch)
