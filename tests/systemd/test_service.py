"""A fleet of the machine: what systemd and its operators can do to ringvisord, and what the sessions notice of it."""

import re
import signal

import pytest

from tests.systemd.fleet import COUNTER, FILE, STORED_FDS, Service
from tests.systemd.machine import NEWER, VENV, WHEELS, Machine

CONFIG = "/etc/ringvisor/ringvisor.toml"


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Service:
    machine.write("/etc/ringvisor/counter.py", COUNTER)
    machine.write(CONFIG, FILE)
    said = machine.run("ringctl", "install-service", "--now")
    assert "done: systemctl enable --now ringvisor-agents.service" in said
    return Service(machine, CONFIG, "/var/log/ringvisor/agents")


@pytest.fixture
def service(installed: Service) -> Service:
    """With all sessions up, in their first epoch since the last stop."""
    installed.machine.try_run("systemctl", "start", "ringvisor-agents")
    installed.wait_up()
    return installed


def epochs(service: Service) -> int:
    found = {epoch for _, epoch in service.runs().values()}
    assert len(found) == 1
    return found.pop()


def test_the_sessions_live_in_a_unit_of_their_own(service: Service) -> None:
    """Keeper and supervisor in one, everything that is to outlive them in the other."""
    main, sessions = service.cgroup(), service.cgroup("-sessions")
    assert "ringvisord: keeper" in main
    assert "ringvisor: supervisor" in main
    for word in ("counter.py", "[worker]", "ringvisor: router", "sleep infinity"):
        assert word in sessions
        assert word not in main
    assert service.facts()["NFileDescriptorStore"] == str(STORED_FDS)
    assert service.facts("-sessions")["TasksMax"] == "infinity"
    pid, _ = service.runs()["tick"]
    limits = service.machine.read(f"/proc/{pid}/limits")
    assert re.search(r"^Max open files +1024 ", limits, re.MULTILINE), limits


def test_a_keeper_that_is_killed_comes_back_to_its_sessions(service: Service) -> None:
    before, main, restarts = service.runs(), service.main_pid, int(service.facts()["NRestarts"])
    for round_ in range(1, 4):
        service.machine.send(signal.SIGKILL, main)
        service.wait_up(after=main)
        assert service.runs() == before
        assert int(service.facts()["NRestarts"]) == restarts + round_
        main = service.main_pid
    assert service.echoes("still-there")
    service.assert_balanced(epochs(service))


def test_all_of_ours_killed_at_once(service: Service) -> None:
    """Keeper, supervisor, router and every worker: the terminals and pipes wait in systemd."""
    before, main = service.runs(), service.main_pid
    service.machine.run("systemctl", "daemon-reexec")
    service.machine.send(signal.SIGKILL, *service.our_pids())
    service.wait_up(after=main)
    assert service.runs() == before
    assert service.echoes("kept-by-systemd")
    assert service.facts()["NFileDescriptorStore"] == str(STORED_FDS)
    service.assert_balanced(epochs(service))


def test_it_comes_back_while_limits_are_in_force(service: Service, a_controller: str) -> None:
    """A unit whose own cgroup has children with controllers could not be started again (219/CGROUP)."""
    if not service.machine.unified:
        pytest.skip("cgroups of version 1 know no such refusal")
    unit = service.facts("-sessions")["ControlGroup"]
    script = 'cd /sys/fs/cgroup; for c in {}; do echo {}{} >"./$c/cgroup.subtree_control"; done'
    service.machine.shell(script.format(f". system.slice {unit}", "+", a_controller))
    assert a_controller in service.machine.read(f"/sys/fs/cgroup{unit}/fleet/cgroup.controllers").split()
    before, main = service.runs(), service.main_pid
    service.machine.send(signal.SIGKILL, main)
    service.wait_up(after=main)
    assert service.runs() == before
    service.machine.shell(script.format(f"{unit} system.slice .", "-", a_controller) + " || true")


def test_restart_keeps_the_sessions(service: Service) -> None:
    before, main = service.runs(), service.main_pid
    service.systemctl("restart", "ringvisor-agents")
    assert service.main_pid != main
    service.wait_up(after=main)
    assert service.runs() == before
    assert service.echoes("after-restart")
    service.assert_balanced(epochs(service))


def test_what_ended_is_kept_no_longer(service: Service) -> None:
    """A terminal that systemd held would never hang up."""
    service.ringctl("stop", "web")
    service.machine.until(lambda: service.facts()["NFileDescriptorStore"] == "2")
    service.ringctl("start", "web")
    service.machine.until(lambda: service.facts()["NFileDescriptorStore"] == str(STORED_FDS))
    service.ringctl("restart", "tick", "cat")  # the same number of epochs for all, as the others expect
    service.machine.until(service.is_up)
    service.assert_balanced(epochs(service))


def test_a_keeper_that_hangs_is_replaced(service: Service) -> None:
    """The watchdog kills it: SIGABRT would wait for a process that is stopped."""
    drop_in = "/run/systemd/system/ringvisor-agents.service.d/watchdog.conf"
    service.machine.write(drop_in, "[Service]\nWatchdogSec=2s\n")
    service.machine.run("systemctl", "daemon-reload")
    service.systemctl("restart", "ringvisor-agents")
    before, main = service.runs(), service.main_pid
    service.machine.send(signal.SIGSTOP, main)
    service.wait_up(after=main)
    assert service.runs() == before
    service.machine.run("rm", drop_in)
    service.machine.run("systemctl", "daemon-reload")
    service.systemctl("restart", "ringvisor-agents")
    service.wait_up()
    assert service.runs() == before


def test_reload_applies_the_file_or_says_what_is_wrong(service: Service) -> None:
    before = service.runs()
    service.machine.write(CONFIG, FILE + '[session.more]\ncommand = ["sleep", "1000"]\nstart_seconds = 0\n')
    service.systemctl("reload", "ringvisor-agents")
    assert service.sessions().keys() - before.keys() == {"more"}
    service.machine.write(CONFIG, FILE + "[session.worse]\n")
    assert service.machine.try_run("systemctl", "reload", "ringvisor-agents").returncode != 0
    assert 'session.worse: lacks "command"' in service.machine.journal()
    service.machine.write(CONFIG, FILE)
    service.systemctl("reload", "ringvisor-agents")
    assert service.runs() == before


def test_stop_goes_by_rank_and_takes_the_time_that_sessions_have(service: Service) -> None:
    """More than the unit's own stop timeout: each rank asks for its own."""
    drop_in = "/run/systemd/system/ringvisor-agents.service.d/stop.conf"
    trap = "trap 'sleep {seconds}; echo {{name}} >>/run/stopped; exit' TERM; while :; do sleep 0.1; done"
    slow = f'["sh", "-c", "{trap.format(seconds=2.5)}"]'
    quick = f'["sh", "-c", "{trap.format(seconds=0)}"]'
    more = f"[session.early]\npriority = 1\ncommand = {quick}\n[session.late]\npriority = 200\ncommand = {slow}\n"
    service.machine.write(CONFIG, FILE + more)
    service.machine.write(drop_in, "[Service]\nTimeoutStopSec=1s\n")
    service.machine.run("systemctl", "daemon-reload")
    service.systemctl("reload", "ringvisor-agents")
    service.machine.until(service.is_up)
    service.systemctl("stop", "ringvisor-agents")
    facts = service.facts()
    assert (facts["Result"], facts["ActiveState"]) == ("success", "inactive")
    assert service.machine.read("/run/stopped").split() == ["late", "early"]
    assert facts["NFileDescriptorStore"] == "0"
    assert service.our_pids() == []
    assert "counter.py" not in service.cgroup("-sessions")
    service.machine.run("rm", drop_in, "/run/stopped")
    service.machine.write(CONFIG, FILE)
    service.machine.run("systemctl", "daemon-reload")


def test_a_newer_release_and_a_restart_keep_the_sessions(service: Service) -> None:
    before, main = service.runs(), service.main_pid
    service.machine.run(
        f"{VENV}/bin/pip", "install", "--quiet", "--no-index", f"--find-links={WHEELS}", "--upgrade", "ringvisor"
    )
    assert NEWER not in service.ringctl("version")
    service.systemctl("restart", "ringvisor-agents")
    service.wait_up(after=main)
    assert NEWER in service.ringctl("version")
    assert service.runs() == before
    assert service.echoes("newer")
    service.assert_balanced(epochs(service))


def test_a_reboot_starts_the_fleet_again(service: Service) -> None:
    before = epochs(service)
    service.machine.reboot()
    service.wait_up()
    assert epochs(service) == before + 1
    assert service.facts("-sessions")["ActiveState"] == "active"
    service.assert_balanced(before + 1)


def test_what_was_left_ends_with_the_unit_that_holds_it(service: Service) -> None:
    """USR1: ringvisord goes, everything stays; then nobody is there who could stop it in order."""
    pid, _ = service.runs()["tick"]
    service.machine.send(signal.SIGUSR1, service.main_pid)
    service.machine.until(lambda: service.facts()["ActiveState"] == "inactive")
    assert service.machine.try_run("test", "-d", f"/proc/{pid}").returncode == 0
    service.systemctl("stop", "ringvisor-agents-sessions")
    assert service.our_pids() == []
    assert service.machine.try_run("test", "-d", f"/proc/{pid}").returncode != 0


def test_uninstall_stops_everything_and_leaves_the_logs(service: Service) -> None:
    service.machine.run("ringctl", "uninstall-service")
    assert service.our_pids() == []
    assert service.facts()["LoadState"] == "not-found"
    assert service.machine.shell("find /etc/systemd /etc/sysusers.d /etc/tmpfiles.d -name 'ringvisor*'") == ""
    assert service.machine.read("/var/log/ringvisor/agents/tick.log")
