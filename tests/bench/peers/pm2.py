"""pm2: one node process ("God") that starts, watches and restarts; programs that are not node's run as they are."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tests.bench import family
from tests.bench.installed import CACHE, answer, tool
from tests.bench.operated import Installation, Operator, Program

COMMAND = CACHE / "node_modules" / ".bin" / "pm2"


def _missing() -> str | None:
    if not tool("node"):
        return "apt install nodejs npm"
    return None if COMMAND.exists() else f"npm install --prefix {CACHE} pm2"


def _version() -> str:
    package = json.loads((CACHE / "node_modules" / "pm2" / "package.json").read_text())
    return f"pm2 {package['version']}, node {answer('node', '--version')}"


def _app(program: Program, directory: Path) -> dict[str, object]:
    return {
        "name": program.name,
        "script": program.argv[0],
        "args": list(program.argv[1:]),
        "interpreter": "none",
        "autorestart": program.always,
        "max_restarts": 1_000_000,
        "min_uptime": 0,
        "out_file": str(directory / f"{program.name}.log"),
        "error_file": str(directory / f"{program.name}.err"),
    }


def _launch(programs: Sequence[Program], directory: Path) -> Operator:
    """What is not to run yet is started and stopped: pm2 knows only what it has run once."""
    env = {"PM2_HOME": str(directory / "pm2"), "PM2_DISCRETE_MODE": "1"}
    file = directory / "ecosystem.config.json"
    file.write_text(json.dumps({"apps": [_app(program, directory) for program in programs]}))
    god = directory / "pm2" / "pm2.pid"
    operator = Operator([str(COMMAND)], lambda: int(god.read_text()), family.sweep, env)
    operator.run("start", str(file))
    if not any(program.always for program in programs):
        operator.run("stop", "all")
    if not god.exists():
        raise OSError(f"pm2 has left no {os.fspath(god)}")
    return operator


PM2 = Installation("pm2", _missing, _version, _launch)
