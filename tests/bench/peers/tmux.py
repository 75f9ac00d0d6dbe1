"""tmux: a window for each session, `pipe-pane` appends its output to a file through cat (the usual recipe)."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.bench.fleet import Job, Peer
from tests.bench.installed import answer, environment, tool

START_MAX_S = 60.0


def _launch(jobs: Sequence[Job], directory: Path) -> None:
    tmux = [str(tool("tmux")), "-u", "-S", str(directory / "tmux.sock"), "-f", "/dev/null"]
    new_window = ["new-session", "-d", "-x", "200", "-y", "50"]
    for job in jobs:
        pane = _run([*tmux, *new_window, "-P", "-F", "#{pane_id}", "--", *job.argv])
        _run([*tmux, "pipe-pane", "-o", "-t", pane, f"exec cat > {shlex.quote(str(job.log))}"])
        new_window = ["new-window", "-d"]


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=START_MAX_S, env=environment())
    return done.stdout.strip()


TMUX = Peer(
    "tmux pipe-pane",
    lambda: None if tool("tmux") else "apt install tmux",
    lambda: answer("tmux", "-V"),
    _launch,
)
