"""What a fleet needs against what the machine grants, and the number that each sentence names."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from supervisor.limits import Ceiling, Level, Limits, Needs, SharedMemory, limit_findings
from supervisor.limits_here import limits_here
from tests.support.daemon import running_daemon
from tests.support.disks import tmpfs

MB = 2**20
SHM = SharedMemory("/dev/shm", "tmpfs", 8192 * MB, 8000 * MB)
ENOUGH = Limits(1 << 20, 1 << 20, 4096, 10, SHM, [Ceiling("/cg/pids.max", 30_000, 100)])
NEEDS = Needs(sessions=1000, terminals=900, rings_bytes=90 * MB, rings_max_bytes=2048 * MB)


def test_where_there_is_enough_nothing_is_said() -> None:
    assert {finding.level for finding in limit_findings(ENOUGH, NEEDS)} == {Level.OK}


@pytest.mark.parametrize(
    ("lacking", "check", "level", "advice"),
    [
        ({"nofile_hard": 4096, "nofile_most": 4096}, "nofile", Level.WARN, "enough for 672 sessions"),
        ({"nofile_hard": 60, "nofile_most": 60}, "nofile", Level.FAIL, "to 6064"),
        ({"pty_used": 3500}, "terminals", Level.WARN, "sysctl kernel.pty.max=8192"),
        ({"shared_memory": replace(SHM, filesystem="ext4")}, "ring_dir", Level.FAIL, "mount -t tmpfs"),
        ({"shared_memory": SharedMemory("/d", "tmpfs", 64 * MB, 60 * MB)}, "ring_dir", Level.FAIL, "size=2052M /d"),
        ({"shared_memory": SharedMemory("/d", "tmpfs", 164 * MB, 160 * MB)}, "ring_dir", Level.WARN, "shm-size=2052m"),
        ({"processes": [Ceiling("/cg/pids.max", 2048, 50)]}, "processes", Level.WARN, "raise /cg/pids.max to 4096"),
    ],
)
def test_what_lacks_is_named_with_the_number_to_change(
    lacking: dict[str, object], check: str, level: Level, advice: str
) -> None:
    found = {finding.check: finding for finding in limit_findings(replace(ENOUGH, **lacking), NEEDS)}
    assert found[check].level is level
    assert advice in found[check].advice
    assert {finding.level for name, finding in found.items() if name != check} == {Level.OK}


def test_a_hard_limit_that_may_be_raised_is_no_lack() -> None:
    limits = replace(ENOUGH, nofile_hard=1024, nofile_most=1 << 20)
    assert {finding.level for finding in limit_findings(limits, NEEDS)} == {Level.OK}


def test_a_cap_below_the_smallest_rings_is_an_error() -> None:
    found = limit_findings(ENOUGH, replace(NEEDS, rings_max_bytes=80 * MB))
    (wrong,) = [finding for finding in found if finding.level is Level.FAIL]
    assert wrong.advice.startswith('set fleet.ring_memory = "90M"')


def test_this_machine_is_looked_at() -> None:
    limits = limits_here("/dev/shm", "/dev/shm/none")
    assert limits.nofile_hard == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert limits.shared_memory.filesystem == "tmpfs"
    assert 0 < limits.shared_memory.free_bytes <= limits.shared_memory.size_bytes
    assert limits.pty_max > limits.pty_used >= 0


SESSIONS = '[session.a]\ncommand = ["sh", "-c", "ulimit -Sn; ulimit -Hn; exec sleep 1000"]\nstart_seconds = 0.1\n'


def test_programs_get_the_limits_that_ringvisord_was_started_with(tmp_path: Path) -> None:
    """While the keeper raises its own; a hint is given where it must not."""
    wrapper = ("prlimit", "--nofile=70:71", "--")
    with running_daemon(tmp_path, f"limits-{os.getpid()}", SESSIONS, wrapper=wrapper) as daemon:
        pid = daemon.wait_state("a", "RUNNING").pid
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (70, 71)
        soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard >= 71


def test_a_fleet_that_cannot_run_is_not_begun(tmp_path: Path) -> None:
    (tmp_path / "ringvisor.toml").write_text('[fleet]\nring_memory = "4K"\n' + SESSIONS)
    ended = _ringvisord(tmp_path)
    assert ended.returncode == 1
    assert "error: ring_memory: " in ended.stderr
    assert 'set fleet.ring_memory = "1M" or more' in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_tmpfs_that_is_too_small_is_said_before_anything_runs(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "tiny", 64 << 10) as tiny:
        (tmp_path / "ringvisor.toml").write_text(f'[fleet]\nring_dir = "{tiny}"\n' + SESSIONS)
        ended = _ringvisord(tmp_path)
        assert ended.returncode == 1
        assert "mount -o remount,size=" in ended.stderr
        assert str(tiny) in ended.stderr
        assert os.listdir(tiny) == []


def _ringvisord(directory: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "supervisor.main", "-c", f"{directory}/ringvisor.toml"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
