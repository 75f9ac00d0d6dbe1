"""What doctor says of machines that lack something, and of this one."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from supervisor.cli.diagnosis import Machine, findings, kernel_version
from supervisor.cli.doctor import finding_lines
from supervisor.cli.exits import Exit
from supervisor.cli.ink import PLAIN
from supervisor.cli.main import ringctl
from supervisor.limits import Level, SharedMemory
from tests.supervisor.cli.conftest import Ringctl

GB = 2**30
SHM = SharedMemory("/dev/shm", "tmpfs", 4 * GB, 4 * GB)
GOOD = Machine(
    kernel="6.15.1-amd64",
    python=(3, 12, 1),
    nofile_soft=1024,
    nofile_hard=1 << 20,
    pty_max=4096,
    pty_used=3,
    shared_memory=SHM,
    membarrier_error="",
    inotify_instances=128,
    packages={"click": "8.1", "numpy": "2.0"},
    roots={"ipc": "/x", "supervisor": "/x"},
    foreign_supervisor="",
    stale_runtime_dirs=[],
)


def test_a_good_machine_has_nothing_to_change() -> None:
    assert {finding.level for finding in findings(GOOD)} == {Level.OK}
    assert [finding.advice for finding in findings(GOOD) if finding.advice] == []


@pytest.mark.parametrize(
    ("changes", "check", "level", "advice"),
    [
        ({"python": (3, 10, 9)}, "python", Level.FAIL, "Python 3.11"),
        ({"kernel": "4.19.0"}, "kernel", Level.FAIL, "5.3"),
        ({"kernel": "6.1.0-28-amd64"}, "kernel", Level.OK, "6.15"),
        ({"packages": {"numpy": ""}}, "packages", Level.FAIL, "pip install numpy"),
        ({"roots": {"ipc": "/x", "supervisor": "/y"}}, "installation", Level.FAIL, "virtual environment"),
        ({"foreign_supervisor": "4.3.0"}, "installation", Level.WARN, "virtual environment"),
        ({"nofile_hard": 512}, "nofile", Level.FAIL, "65536"),
        ({"nofile_hard": 4096}, "nofile", Level.WARN, "LimitNOFILE=65536"),
        ({"pty_used": 4096}, "terminals", Level.FAIL, "kernel.pty.max"),
        ({"pty_used": 4000}, "terminals", Level.WARN, "96 left"),
        ({"shared_memory": replace(SHM, filesystem="ext4")}, "shared memory", Level.FAIL, "mount -t tmpfs"),
        ({"shared_memory": replace(SHM, size_bytes=2**20)}, "shared memory", Level.FAIL, "--shm-size"),
        ({"shared_memory": replace(SHM, free_bytes=2**27)}, "shared memory", Level.WARN, "remount,size="),
        ({"membarrier_error": "refused"}, "membarrier", Level.FAIL, "seccomp"),
        ({"inotify_instances": 8}, "inotify", Level.WARN, "fs.inotify.max_user_instances=128"),
        ({"stale_runtime_dirs": ["/run/x"]}, "runtime directories", Level.WARN, "remove the directory"),
    ],
)
def test_what_lacks_is_named_with_what_to_change(
    changes: dict[str, object], check: str, level: Level, advice: str
) -> None:
    found = [finding for finding in findings(replace(GOOD, **changes)) if finding.check == check]
    assert found[0].level is level
    assert advice in found[0].advice
    others = {finding.level for finding in findings(replace(GOOD, **changes)) if finding.check != check}
    assert others == {Level.OK}


@pytest.mark.parametrize(
    ("release", "version"), [("6.18.44-x", (6, 18)), ("5.3", (5, 3)), ("5.10+", (0, 0)), ("", (0, 0))]
)
def test_kernel_versions(release: str, version: tuple[int, int]) -> None:
    assert kernel_version(release) == version


def test_advice_stands_below_what_was_found() -> None:
    lines = list(finding_lines(findings(replace(GOOD, inotify_instances=8)), PLAIN))
    at = next(number for number, line in enumerate(lines) if line.startswith("warn  inotify"))
    assert lines[at + 1].strip().startswith("sysctl ")


def test_doctor_looks_at_this_machine(ctl: Ringctl) -> None:
    result = ctl("doctor", "--json")
    document = json.loads(result.stdout)
    failed = [check for check in document["checks"] if check["level"] == "FAIL"]
    assert result.exit_code == (Exit.FAILED if failed else Exit.DONE)
    assert document["ok"] is not bool(failed)
    assert {check["check"] for check in document["checks"]} >= {"nofile", "terminals", "shared memory", "membarrier"}
    assert ctl("doctor").stdout.count("\n") >= len(document["checks"])


def test_doctor_needs_no_fleet(clean_env: None) -> None:
    assert json.loads(Ringctl("/nowhere/x.sock")("doctor", "--json").stdout)["checks"]


def test_doctor_looks_at_what_a_fleet_needs(tmp_path: Path, clean_env: None) -> None:
    """As ringvisord does before it starts it; a fleet that does not run has no ring directory."""
    file = tmp_path / "ringvisor.toml"
    file.write_text('[fleet]\nname = "f"\nruntime_dir = "run"\nring_memory = "4K"\n[session.a]\ncommand = "x"\n')
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "fleet.json").write_text('{"name": "f", "ring_dir": "/dev/shm/ringvisor-0-none"}')
    result = CliRunner().invoke(ringctl, ["-c", str(file), "doctor", "--json"])
    checks = {check["check"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["f: ring_memory"]["level"] == "FAIL"
    assert "fleet.ring_memory" in checks["f: ring_memory"]["advice"]
    assert checks["shared memory"]["level"] == "ok"
