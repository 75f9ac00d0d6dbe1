"""Where the peers are installed, and of which version. A peer that is missing is skipped with the command that
installs it.

supervisor's PyPI package owns the same top-level name as ours, so tools written in Python are looked for first in a
virtual environment of their own; node-pty lies beside it. PYTHONPATH is never passed on, else their `import
supervisor` finds ours."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()) / "ringvisor-bench"
VENV = CACHE / "venv"
ANSWER_MAX_S = 20.0


def tool(name: str) -> str | None:
    """An executable in the peers' environment, else beside our interpreter, else on the PATH."""
    for directory in (VENV / "bin", Path(sys.executable).parent):
        if os.access(directory / name, os.X_OK):
            return str(directory / name)
    return shutil.which(name)


def pip_install(package: str) -> str:
    return f"python3 -m venv {VENV} && {VENV}/bin/pip install {package}"


def environment(**extra: str) -> dict[str, str]:
    """Ours without what would change a peer, in a locale that every tool takes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TMUX", "PYTHON"))}
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore", **extra}


def answer(*argv: str) -> str:
    """The first line a tool prints; empty when it fails."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=True, timeout=ANSWER_MAX_S, env=environment(), cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout or done.stderr).strip().partition("\n")[0]
