"""A stand-in fleet, and ringctl as operators run it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor.cli.main import ringctl
from tests.supervisor.cli.stand_in_fleet import StandInFleet, session

ROOT = str(Path(__file__).parents[3])


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """A shell that starts tests in the background has them, and all that they start, ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def clean_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heeds_ctrl_c: None) -> None:
    """No fleet of this machine is found, and none of its fleet files."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RINGVISOR_CONFIG", "NO_COLOR", "RINGCTL_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fleet(tmp_path: Path, clean_env: None) -> Iterator[StandInFleet]:
    (tmp_path / "log").mkdir()
    running = StandInFleet(str(tmp_path / "run"), log_dir=str(tmp_path / "log"))
    running.add(
        session("cat"),
        session("bad", "FATAL"),
        session("web-0", group="web", tags=["front"]),
        session("web-1", "STOPPED", group="web"),
    )
    yield running
    running.close()


def environment() -> dict[str, str]:
    """Of a user's shell. Unbuffered, Python does not notice that half of a write was not taken."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | {"PYTHONPATH": ROOT}


class Ringctl:
    """In this process, and as a process of its own."""

    def __init__(self, socket: str) -> None:
        self.options = ["-s", socket]

    def __call__(self, *words: str, **more: Any) -> Result:
        return CliRunner().invoke(ringctl, [*self.options, *words], **more)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "supervisor.cli.main", *self.options, *words]

    def process(self, *words: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        return run(self.command(*words), **more)

    @contextmanager
    def following(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        pipe = subprocess.PIPE
        with subprocess.Popen(self.command(*words), stdout=pipe, stderr=pipe, text=True, env=environment()) as process:
            try:
                yield process
            finally:
                process.kill()


def run(command: list[str], *, stdout: Any = subprocess.PIPE, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment() | env, timeout=30, check=False
    )


@pytest.fixture
def ctl(fleet: StandInFleet) -> Ringctl:
    return Ringctl(fleet.socket)
