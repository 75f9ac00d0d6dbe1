"""`ringvisord demo`, as somebody sees it who has just installed it: in a terminal, and without one."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supervisor.viewer.terminal import Terminal

DEMO = [sys.executable, "-m", "supervisor.main", "demo"]
UP, DOWN, DETACH = b"\x1b[A", b"\x1b[B", b"\x1c"
BALANCED = re.compile(r"^ *(\w+) +([\d,]+) bytes in +(\d+) runs, 0 lost: balanced$", re.MULTILINE)


@pytest.fixture(autouse=True)
def nothing_stays_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Not in the temporary directory, not in shared memory, and no ringvisord."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)
    before = set(os.listdir("/dev/shm"))
    yield
    assert os.listdir(tmp_path) == []
    assert [name for name in os.listdir("/dev/shm") if "demo" in name and name not in before] == []


class Demo(Terminal):
    def row(self, session: str) -> list[str]:
        """Its columns: name, state, pid, worker, runs, …"""
        found = [line for line in self.lines if line[2:].startswith(session) and line[:2] in {"  ", "> "}]
        return found[0][2:].split() if found else []

    def service(self, name: str) -> str:
        found = re.search(rf"\b{name} (\d+)", self.lines[0])
        return found[1] if found else ""

    @property
    def selected(self) -> str:
        return next((line.split()[1] for line in self.lines if line.startswith("> ")), "")

    def until_shown(self) -> None:
        self.until(lambda: self.row("flood")[3:4] > ["-"] and self.selected == "shell")

    def until_other(self, what, before: object) -> None:
        self.until(lambda: what() not in {before, "", "-"})

    @property
    def said_at_the_end(self) -> str:
        return bytes(self.output).decode().rpartition("\x1b[?1049l")[2].replace("\r\n", "\n")


def test_every_key_in_one_sitting() -> None:
    with Demo(DEMO) as demo:
        demo.until_shown()
        assert demo.is_raw
        assert all(len(line) <= 80 for line in demo.lines)
        assert "q quit" in demo.lines[-2]
        assert "s the supervisor" in demo.lines[-1]

        demo.type(b"jk" + DOWN + UP + b"k")
        demo.until(lambda: demo.selected == "flood")
        program, worker = demo.row("flood")[2:4]
        demo.type(b"w")
        demo.until_text(f"a new worker for flood: {worker} -> ")
        demo.until_text(f"program {program} runs on")
        assert demo.row("flood")[2] == program
        assert demo.row("flood")[3] != worker

        router = demo.service("router")
        demo.type(b"o")
        demo.until_text(f"a new router: {router} -> ")
        supervisor = demo.service("supervisor")
        demo.type(b"s")
        demo.until_text(f"a new supervisor: {supervisor} -> ")
        assert demo.row("flood")[2] == program

        demo.type(b"?")
        demo.until_text("select a session\n")
        demo.type(b"?")
        demo.until(lambda: "select a session\n" not in demo.text)

        demo.type(b"j")
        demo.until(lambda: demo.selected == "shell")
        demo.type(b"a")
        demo.until(lambda: demo.text.startswith("demo$"))
        demo.type(b"echo in the de''mo\r")
        demo.until_text("in the demo\n")
        demo.type(DETACH)
        demo.until_text("detached shell")
        demo.type(DETACH)  # once too often

        demo.type(b"r")
        demo.until_text("shell: ")
        demo.until(lambda: demo.row("shell")[4:5] == ["2"])

        demo.resize(120, 40)
        demo.until(lambda: "s the supervisor" in demo.lines[39])

        demo.type(b"v")
        demo.until(lambda: {"crash", "flood", "shell", "tick"} <= verified(demo.text))
        assert "DOES NOT" not in demo.text

        demo.type(b"q")
        assert demo.wait() == 0
        assert demo.is_restored
        assert {found[0] for found in BALANCED.findall(demo.said_at_the_end)} == {"crash", "flood", "shell", "tick"}


def verified(text: str) -> set[str]:
    return {found[1] for found in re.finditer(r"(\w+) +[\d,]+ bytes in +\d+ runs, 0 lost: balanced", text)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal_and_shows_the_balance(number: signal.Signals) -> None:
    with Demo(DEMO) as demo:
        demo.until_shown()
        if number is signal.SIGINT:
            demo.type(b"\x03")
        else:
            demo.kill(number)
        assert demo.wait() == 0
        assert demo.is_restored
        assert verified(demo.said_at_the_end) == {"crash", "flood", "shell", "tick"}


def test_a_signal_while_attached_ends_it_too() -> None:
    with Demo(DEMO) as demo:
        demo.until_shown()
        demo.type(b"a")
        demo.until(lambda: demo.text.startswith("demo$"))
        demo.kill(signal.SIGTERM)
        assert demo.wait() == 0
        assert demo.is_restored
        assert verified(demo.said_at_the_end) == {"crash", "flood", "shell", "tick"}


def test_a_window_that_is_closed_takes_the_fleet_with_it() -> None:
    with Demo(DEMO) as demo:
        demo.until_shown()
        demo.hang_up()
        os.waitid(os.P_PID, demo.pid, os.WEXITED | os.WNOWAIT)


def test_a_killed_keeper_leaves_nothing_running() -> None:
    """What it ran would run on, and flood the disk."""
    with Demo(DEMO) as demo:
        demo.until_shown()
        os.kill(int(demo.service("keeper")), signal.SIGKILL)
        demo.until_text("no answer, trying again, q quits")
        demo.type(b"q")
        assert demo.wait() == 0
        assert verified(demo.said_at_the_end) == {"crash", "flood", "shell", "tick"}


def test_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with Demo([*DEMO, "--seconds", "0.2"], cols=60, rows=8) as demo:
        assert demo.wait() == 0
        assert b"WRITTEN" in demo.output
        assert not re.search(rb"\x1b\[[\d;]+m", demo.output)


def test_lines_where_there_is_no_terminal() -> None:
    done = subprocess.run([*DEMO, "--seconds", "2.5"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert ">>> kill -9 the worker of flood" in done.stdout
    assert {found[0] for found in BALANCED.findall(done.stdout)} == {"crash", "flood", "shell", "tick"}
