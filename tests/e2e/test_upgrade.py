"""Another release takes over from the running one, with a real second installation in place of the first."""

import contextlib
import json
import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.control.client import ControlClient, NobodyAnswersError, RequestFailedError
from supervisor.control.messages import AwaitUpgrade, FollowEvents, Upgrade, UpgradeStep
from tests.support import leaks
from tests.support.daemon import PATIENCE_S, RunningDaemon, running_daemon
from tests.support.installed import Installed

SESSIONS = """
[session.tick]
command = ["sh", "-c", "while :; do echo tick; sleep 0.01; done"]
[session.cat]
io = "pipe"
command = ["cat"]
start_seconds = 0
"""
PHASES = ["trying", "supervisor", "keeper", "router", "workers"]


class Fleet:
    """A ringvisord of an installation of its own."""

    def __init__(self, daemon: RunningDaemon, installed: Installed) -> None:
        self.daemon = daemon
        self.installed = installed

    def ringctl(self, *args: str) -> tuple[int, str, str]:
        done = self.installed.ringctl("-s", f"{self.daemon.runtime_dir}/control.sock", *args)
        return done.returncode, done.stdout, done.stderr

    def release(self) -> str:
        with self.daemon.client() as client:
            return client.welcome.release

    def ring_versions(self) -> dict[str, int]:
        ring_dir = Path(f"/dev/shm/ringvisor-{os.geteuid()}-upgrade-{os.getpid()}")
        return {path.stem: struct.unpack_from("<I", path.read_bytes(), 8)[0] for path in ring_dir.glob("*.ring")}

    def programs(self) -> dict[str, tuple[int, int]]:
        return {session.name: (session.pid, session.epoch) for session in self.daemon.status().sessions}

    def ours(self) -> dict[str, int]:
        """Each process of ours but the keeper."""
        status = self.daemon.status()
        return {**status.fleet.processes, **{session.name: session.worker_pid for session in status.sessions}}

    def upgrade(self) -> list[UpgradeStep]:
        """By a client of the code that runs: that of newer code may be broken, too."""
        with contextlib.suppress(NobodyAnswersError), self.daemon.client() as client:
            return list(client.stream(Upgrade(1), timeout_s=PATIENCE_S))
        return self.finish()

    def template(self) -> int:
        """The one that services are forked from: it is older than its twin."""
        known = {*self.ours().values(), *(pid for pid, _ in self.programs().values())}
        return min(set(leaks.children_of(self.daemon.keeper_pid())) - known)

    def finish(self) -> list[UpgradeStep]:
        """Of the upgrade under way, whoever tells it."""
        while True:
            with contextlib.suppress(NobodyAnswersError), self.daemon.client() as client:
                return list(client.stream(AwaitUpgrade(1), timeout_s=PATIENCE_S))

    def balances(self, session: str) -> bool:
        return self.ringctl("verify", session)[0] == 0


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    installed = Installed(tmp_path / "installed", "0.1.0")
    name = f"upgrade-{os.getpid()}"
    with running_daemon(tmp_path, name, SESSIONS, ringvisord=installed.ringvisord) as daemon:
        daemon.wait_state("cat", "RUNNING")
        daemon.wait_state("tick", "RUNNING")
        yield Fleet(daemon, installed)


def test_a_newer_release_takes_over(fleet):
    """Each process of ours is another one, but the keeper, which is the same with other code; the programs, their
    pids and epochs, are the same, and their books balance."""
    programs, ours, keeper = fleet.programs(), fleet.ours(), fleet.daemon.keeper_pid()
    fleet.installed.install("0.2.0")
    code, said, complaint = fleet.ringctl("upgrade", "--dry-run")
    assert (code, complaint, said.splitlines()[-1]) == (0, "", "nothing was changed")
    assert (fleet.ours(), fleet.release()) == (ours, "0.1.0")

    code, said, complaint = fleet.ringctl("upgrade", "--json")
    assert (code, complaint) == (0, "")
    report = json.loads(said)
    assert [step["step"] for step in report["steps"]] == PHASES
    assert report["paused_s"] == max(step["paused_s"] for step in report["steps"]) > 0
    assert fleet.release() == "0.2.0"
    assert fleet.programs() == programs
    assert fleet.daemon.keeper_pid() == keeper == fleet.daemon.process.pid
    assert fleet.daemon.output().count(f"keeper[{keeper}]: re-executing") == 1
    assert ours.keys() == fleet.ours().keys()
    assert not set(ours.values()).intersection(fleet.ours().values())
    assert fleet.balances("tick")
    events = json_lines(fleet.ringctl("events", "-n", "50", "--json")[1])
    assert [event["state"] for event in events if event["event"] == "upgrade"] == [*PHASES[1:], "done"]

    for pid in fleet.ours().values():
        os.kill(pid, signal.SIGKILL)
    fleet.daemon.wait_state("tick", "RUNNING")
    assert (fleet.release(), fleet.programs()) == ("0.2.0", programs)
    assert fleet.daemon.stop() == 0
    assert not [name for name in os.listdir("/dev/shm") if f"upgrade-{os.getpid()}" in name]


def json_lines(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines()]


def test_protocols_and_layouts_may_change(fleet):
    """Two releases that differ in every version of what crosses a process boundary work together while one replaces the
    other, and each ring is moved to the new layout. The way back is refused."""
    programs = fleet.programs()
    assert fleet.ring_versions() == {"tick": 1, "cat": 1}
    newer = ("VERSION = 1\n", "VERSION = 2\n")
    speaking = ("ipc/worker_messages.py", "ipc/router_messages.py", "supervisor/control/messages.py")
    files = ("ipc/ring_layout.py", "supervisor/keeper/messages.py", *speaking)
    fleet.installed.install("0.2.0", dict.fromkeys(files, newer))
    assert fleet.ringctl("send", "cat", "typed before")[0] == 0
    assert fleet.ringctl("upgrade")[::2] == (0, "")
    assert (fleet.release(), fleet.programs()) == ("0.2.0", programs)
    assert fleet.ring_versions() == {"tick": 2, "cat": 2}
    assert fleet.ringctl("send", "cat", "typed after")[0] == 0
    assert fleet.ringctl("logs", "cat")[1] == "typed before\ntyped after\n"
    assert fleet.balances("tick")
    fleet.installed.install("0.1.0")
    with pytest.raises(RequestFailedError, match=r"0\.2\.0 stays in charge: .* ring: version 2 is in use"):
        fleet.upgrade()


def test_code_that_cannot_start_changes_nothing(fleet):
    """Whatever is wrong with it: one line that says so, exit code 1, and the old release is in charge."""
    programs = fleet.programs()
    for release, changes, why in (
        ("0.2.1", {"config/parse.py": ("import ", "import nonsense, ")}, "No module named 'nonsense'"),
        ("0.2.2", {"supervisor/keeper/messages.py": ("OLDEST = 1", "OLDEST = 2")}, "keeper channel: version 1 is in"),
    ):
        fleet.installed.install(release, changes)
        with pytest.raises(RequestFailedError, match=r"0\.1\.0 stays in charge") as refusal:
            fleet.upgrade()
        assert why in str(refusal.value)
    fleet.installed.install("0.2.3")
    fleet.installed.change("ipc/bell.py", "import os", "import os  # of another release")
    assert "not whole: ipc/bell.py" in fleet.ringctl("upgrade", "--dry-run")[2]
    checked = fleet.installed.run("ringvisord", "check-code", fleet.daemon.runtime_dir)
    assert (checked.returncode, "not whole: ipc/bell.py" in checked.stderr) == (1, True)
    fleet.installed.install("0.2.4")
    fleet.daemon.file.write_text(fleet.daemon.head + SESSIONS + "\n[session.more]\ncomand = 'x'\n")
    assert "the fleet file is refused" in fleet.ringctl("upgrade")[2]
    assert (fleet.release(), fleet.programs()) == ("0.1.0", programs)


def test_a_supervisor_that_cannot_begin_is_followed_by_the_one_before(fleet):
    """It loads, but it dies over what it finds: the old release comes back, and says why."""
    programs = fleet.programs()
    broken = {"supervisor/daemon/daemon.py": ("self._journal.recover()", "self.not_today()")}
    fleet.installed.install("0.2.0", broken)
    code, _, complaint = fleet.ringctl("upgrade")
    assert (code, complaint.count("\n")) == (1, 1)
    assert "0.1.0 stays in charge: the new supervisor died before it had begun" in complaint
    assert "not_today" in complaint
    assert (fleet.release(), fleet.programs()) == ("0.1.0", programs)


def test_a_crash_is_no_upgrade(fleet):
    """In the middle of an installation, when nothing on disk would load: what is started after a crash is what ran."""
    programs = fleet.programs()
    fleet.installed.break_everything()
    for _ in range(2):
        before = fleet.ours()
        os.kill(fleet.template(), signal.SIGKILL)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        until_all_are_others(fleet, before)
    assert (fleet.release(), fleet.programs()) == ("0.1.0", programs)
    fleet.daemon.act("restart", "cat")
    assert fleet.programs()["cat"][1] == 2
    with pytest.raises(RequestFailedError, match=r"0\.1\.0 stays in charge"):
        fleet.upgrade()
    fleet.installed.install("0.1.0")
    assert fleet.balances("tick")


def until_all_are_others(fleet: Fleet, before: dict[str, int]) -> None:
    while True:
        with contextlib.suppress(NobodyAnswersError), fleet.daemon.client() as client:
            events = client.stream(FollowEvents(1), timeout_s=PATIENCE_S)
            now = fleet.ours()
            if now.keys() == before.keys() and not {0, *before.values()}.intersection(now.values()):
                return
            next(events, None)


def test_nobody_need_listen(fleet):
    """A client that goes in the middle leaves it to itself; a second upgrade is refused meanwhile; a supervisor that is
    killed in the middle is followed by one that goes on."""
    programs = fleet.programs()
    fleet.installed.install("0.2.0")
    with fleet.daemon.client() as client:
        list(answers_of_one_supervisor(client))
    for phase in PHASES[1:3]:
        with fleet.daemon.client() as client:
            with pytest.raises(RequestFailedError, match="under way already"):
                list(client.stream(Upgrade(2), timeout_s=PATIENCE_S))
            for step in client.stream(AwaitUpgrade(1), timeout_s=PATIENCE_S):
                if isinstance(step, UpgradeStep) and step.step == phase:
                    os.kill(fleet.daemon.status().fleet.processes["supervisor"], signal.SIGKILL)
                    break
    assert [step.step for step in fleet.finish()] == PHASES
    assert (fleet.release(), fleet.programs()) == ("0.2.0", programs)
    assert fleet.balances("tick")


def answers_of_one_supervisor(client: ControlClient) -> Iterator[object]:
    with contextlib.suppress(NobodyAnswersError):
        yield from client.stream(Upgrade(1), timeout_s=PATIENCE_S)
