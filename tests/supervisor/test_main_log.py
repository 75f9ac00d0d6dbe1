"""ringvisord's own log: whole lines of several processes, in a file that may be moved, full or gone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.daemon.structured_log import supervisors_log
from supervisor.keeper.log import VOICE, log, log_fault
from supervisor.main_log import KEPT, MainLog, rendered

NOON_NS = 1_767_268_800_123_456_789


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ringvisord.log"


@pytest.fixture
def main_log(path: Path) -> Iterator[MainLog]:
    VOICE.log = MainLog(str(path))
    yield VOICE.log
    VOICE.log = MainLog()


def test_a_line_for_people() -> None:
    """What has blanks is quoted; a second line is indented, so that nothing can pass for a line of ours."""
    line = rendered(NOON_NS, "warning", "keeper", "a\nb", {"session": "web", "why": "x y", "no": ""}, as_json=False)
    start = f"2026-01-01T12:00:00.123Z warning keeper[{os.getpid()}]: a\n    b session=web why='x y' no=''\n"
    assert line.decode() == start


def test_a_line_for_machines() -> None:
    line = rendered(NOON_NS, "error", "router", "a\nb", {"code": 3, "other": KeyError("x")}, as_json=True)
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "time": "2026-01-01T12:00:00.123Z",
        "level": "error",
        "service": "router",
        "pid": os.getpid(),
        "event": "a\nb",
        "code": 3,
        "other": "'x'",
    }


def test_keeper_and_supervisor_write_to_the_same_file(main_log: MainLog, path: Path) -> None:
    log("one died")
    try:
        raise ValueError("broken")  # noqa: TRY301 - it is the traceback that is wanted
    except ValueError as error:
        log_fault(error)
    supervisors_log(main_log).info("state", session="web", state="RUNNING")
    first, *traceback, last = path.read_text().splitlines()
    assert first.endswith(f"warning keeper[{os.getpid()}]: one died")
    assert "error   keeper" in traceback[0]
    assert traceback[-1] == "    ValueError: broken"
    assert last.endswith(f"info    supervisor[{os.getpid()}]: state session=web state=RUNNING")


def test_a_file_that_is_moved_away_or_removed_is_made_again(main_log: MainLog, path: Path) -> None:
    """By the next line, with no signal."""
    log("first")
    path.rename(path.with_suffix(".old"))
    log("second")
    assert path.read_text().endswith("second\n")
    path.unlink()
    log("third")
    assert path.read_text().count("\n") == 1


def test_the_file_is_bounded(path: Path) -> None:
    """The full one is moved aside under the next number, and the oldest goes."""
    small = MainLog(str(path), max_bytes=200)
    for number in range(40):
        small.say("info", "keeper", f"line {number} {'x' * 60}", {})
    parts = sorted(name for name in os.listdir(path.parent) if name != path.name)
    assert len(parts) == KEPT
    assert parts[-1] == f"{path.name}.000020"
    assert "line 39" in (path.parent / parts[-1]).read_text()


def test_several_processes_lose_no_line_when_the_file_is_moved_aside(path: Path) -> None:
    """Each line is whole, and in one of the parts."""
    script = (
        "import sys; from supervisor.main_log import MainLog\n"
        "log = MainLog(sys.argv[1], as_json=True, max_bytes=30_000)\n"
        "for number in range(200): log.say('info', sys.argv[2], str(number), {'pad': 'x' * 50})"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(path), name], stderr=subprocess.DEVNULL) for name in "ab"
    ]
    assert [writer.wait(20) for writer in writers] == [0, 0]
    lines = [json.loads(line) for part in path.parent.iterdir() for line in part.read_text().splitlines()]
    assert sorted((line["service"], int(line["event"])) for line in lines) == [(n, i) for n in "ab" for i in range(200)]


def test_what_is_a_link_is_not_followed(tmp_path: Path, path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)
    MainLog(str(path)).say("info", "keeper", "x", {})
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("path", ["/dev/full", "/no/such/directory/x.log"])
def test_a_full_disk_costs_the_line_and_nothing_else(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    """And stderr still has it."""
    MainLog(path).say("info", "keeper", "still here", {})
    assert "still here" in capfd.readouterr().err


def test_a_stderr_that_nobody_reads_makes_nobody_wait(path: Path) -> None:
    """A pipe that is full: the file gets its lines, and the writer ends."""
    script = (
        "import sys; from supervisor.main_log import MainLog\n"
        "for number in range(300): MainLog(sys.argv[1]).say('info', 'keeper', 'x' * 1000, {})"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stderr=subprocess.PIPE) as writer:
        assert writer.wait(20) == 0
        assert path.read_text().count("\n") == 300
