"""A signal to end is obeyed within a bounded time, whatever has become of the supervisor."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.control.messages import Verb
from tests.support import leaks
from tests.support.changes import Changes
from tests.support.daemon import PATIENCE_S, RunningDaemon, running_daemon

SESSIONS = """
[session.first]
command = ["sleep", "1000"]
start_seconds = 0

[session.last]
command = ["sh", "-c", "trap 'read line < {fifo}; exit 0' TERM; while :; do sleep 0.02; done"]
priority = 200
start_seconds = 0
stop = {{ timeout = "30s" }}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    """One session ends only when somebody writes into a FIFO."""
    fifo = tmp_path / "may-end"
    os.mkfifo(fifo)
    with running_daemon(tmp_path, f"test-endings-{os.getpid()}", SESSIONS.format(fifo=fifo)) as running:
        for name in ("first", "last"):
            running.wait_state(name, "RUNNING")
        yield running


def ringctl(daemon: RunningDaemon, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "supervisor.cli.main", "-c", str(daemon.file), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def let_end(daemon: RunningDaemon) -> None:
    """Whoever asks from now on."""
    (daemon.directory / "may-end").unlink()
    (daemon.directory / "may-end").write_text("\n")


def break_supervisor(daemon: RunningDaemon) -> None:
    """From now on each one ends at its start."""
    os.unlink(f"{daemon.runtime_dir}/fleet.json")
    supervisor = daemon.status().fleet.processes["supervisor"]
    os.kill(supervisor, signal.SIGKILL)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_without_a_supervisor_that_lives_the_keeper_leaves_and_says_so(
    daemon: RunningDaemon, signum: signal.Signals
) -> None:
    """The programs run on, and `shutdown --force` ends them."""
    pids = [one.pid for one in daemon.status().sessions]
    break_supervisor(daemon)
    daemon.process.send_signal(signum)
    assert daemon.process.wait(PATIENCE_S) == 1
    for pid in pids:
        os.kill(pid, 0)
    assert "2 sessions: they run on without ringvisord" in daemon.output()
    let_end(daemon)
    assert ringctl(daemon, "shutdown", "--force").returncode == 0
    for pid in pids:
        assert not Path(f"/proc/{pid}/stat").exists() or b") Z" in Path(f"/proc/{pid}/stat").read_bytes()


def test_without_programs_it_just_ends(daemon: RunningDaemon) -> None:
    """And leaves nothing behind."""
    let_end(daemon)
    assert all(one.ok for one in daemon.act(Verb.STOP, "all"))
    break_supervisor(daemon)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(PATIENCE_S) == 0
    assert not os.path.exists(f"{leaks.SHARED_MEMORY}/ringvisor-{os.geteuid()}-test-endings-{os.getpid()}")
    assert os.listdir(f"{daemon.runtime_dir}/records") == []


def test_a_supervisor_killed_amid_the_end_is_followed_by_one_that_goes_on_with_it(daemon: RunningDaemon) -> None:
    """And what was wanted before stays wanted: the next ringvisord starts both."""
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_state("last", "STOPPING")
    os.kill(daemon.status().fleet.processes["supervisor"], signal.SIGKILL)
    daemon.wait_state("last", "STOPPING")
    with open(daemon.directory / "may-end", "w") as fifo:
        fifo.write("\n")
    assert daemon.process.wait(PATIENCE_S) == 0
    with Changes(daemon.runtime_dir) as changes:
        daemon.process = daemon.launch()
        while not os.path.exists(f"{daemon.runtime_dir}/control.sock"):
            changes.wait(PATIENCE_S)
    for name in ("first", "last"):
        assert daemon.wait_state(name, "RUNNING").epoch == 2


@pytest.mark.parametrize("wrapper", [(), ("unshare", "-pf", "--mount-proc", "--kill-child")], ids=["", "as PID 1"])
def test_term_is_obeyed_from_its_first_moment_on(tmp_path: Path, wrapper: tuple[str, ...]) -> None:
    """It comes before there is a keeper, let alone a supervisor."""
    if wrapper and os.geteuid():
        pytest.skip("a PID namespace needs root")
    (tmp_path / "ringvisor.toml").write_text(
        f'[fleet]\nname = "test-early-{os.getpid()}"\nruntime_dir = "run"\nstate_dir = "state"\nlog_dir = "logs"\n'
    )
    command = [*wrapper, sys.executable, "-m", "supervisor.main", "-c", str(tmp_path / "ringvisor.toml")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        pid = process.pid
        while wrapper and not (children := leaks.children_of(process.pid)):
            pass
        pid = children[0] if wrapper else pid
        while not holds_back(pid, signal.SIGUSR2):  # unshare itself holds back TERM, for a moment
            pass
        os.kill(pid, signal.SIGTERM)
        try:
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
            leaks.remove_shared(f"ringvisor-{os.geteuid()}-test-early-{os.getpid()}")


def holds_back(pid: int, signum: signal.Signals) -> bool:
    with open(f"/proc/{pid}/status") as status:
        blocked = next(line for line in status if line.startswith("SigBlk"))
    return bool(int(blocked.split()[1], 16) >> (signum - 1) & 1)


def test_nothing_is_imported_before_signals_are_held_back() -> None:
    """As PID 1, one that came during the imports would be lost."""
    code = "import sys; before = set(sys.modules); import supervisor.main; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-Sc", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in loaded} <= {"supervisor", *sys.stdlib_module_names}
    assert len(loaded) < 20
