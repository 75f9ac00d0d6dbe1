"""PyPI's supervisor beside us, and our own name on the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.namesake import namesake_warning


def test_another_supervisor_in_the_environment_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert namesake_warning() is None
    (tmp_path / "supervisor-4.3.0.dist-info").mkdir()
    (tmp_path / "supervisor-4.3.0.dist-info" / "METADATA").write_text("Name: supervisor\nVersion: 4.3.0\n")
    assert "supervisor 4.3.0" in str(namesake_warning())


def test_python_m_supervisor_is_ringvisord() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "demo", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ringvisord demo")
