"""node-pty, the terminal of VS Code: one node process, a write stream for each session's file."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench import family
from tests.bench.fleet import Job, Peer
from tests.bench.installed import CACHE, answer, tool

PACKAGE = CACHE / "node_modules" / "node-pty"
SOURCE = Path(__file__).with_suffix(".js")


def _missing() -> str | None:
    if not tool("node"):
        return "apt install nodejs npm"
    return None if PACKAGE.is_dir() else f"npm install --prefix {CACHE} node-pty"


def _version() -> str:
    package = json.loads((PACKAGE / "package.json").read_text())
    return f"node-pty {package['version']}, node {answer('node', '--version')}"


def _launch(jobs: Sequence[Job], directory: Path) -> None:
    what = json.dumps([{"argv": job.argv, "log": str(job.log)} for job in jobs])
    family.spawn([str(tool("node")), str(SOURCE), what], directory, NODE_PATH=str(PACKAGE.parent))


NODE_PTY = Peer("node-pty", _missing, _version, _launch)
