"""A fleet of a user's own service manager: no root, no file outside the home directory."""

import signal

import pytest

from tests.systemd.fleet import COUNTER, FILE, STORED_FDS, Service
from tests.systemd.machine import Machine

USER = "alice"
CONFIG = f"/home/{USER}/.config/ringvisor/ringvisor.toml"


@pytest.fixture(scope="module")
def service(machine: Machine) -> Service:
    machine.run("useradd", "--uid=1000", "--create-home", "--shell=/bin/bash", USER)
    machine.run("systemctl", "start", "user@1000.service")
    machine.shell(f"mkdir -p {CONFIG.removesuffix('/ringvisor.toml')}", user=USER)
    machine.write(f"{CONFIG.removesuffix('/ringvisor.toml')}/counter.py", COUNTER)
    machine.write(CONFIG, FILE)
    said = machine.try_run("ringctl", "install-service", "--user", "--now", user=USER)
    assert said.returncode == 0, said
    assert f"loginctl enable-linger {USER}" in said.stderr
    machine.run("loginctl", "enable-linger", USER)
    return Service(machine, CONFIG, f"/home/{USER}/.local/state/ringvisor/agents/log", user=USER)


def test_sessions_are_held_and_survive_all_that_serves_them(service: Service) -> None:
    service.wait_up()
    before, main = service.runs(), service.main_pid
    assert "counter.py" in service.cgroup("-sessions")
    assert "counter.py" not in service.cgroup()
    assert service.facts()["NFileDescriptorStore"] == str(STORED_FDS)
    service.machine.send(signal.SIGKILL, main)
    service.wait_up(after=main)
    main = service.main_pid
    service.machine.send(signal.SIGKILL, *service.our_pids())
    service.wait_up(after=main)
    main = service.main_pid
    service.systemctl("restart", "ringvisor-agents")
    service.wait_up(after=main)
    assert service.runs() == before
    assert service.echoes("survived")
    service.assert_balanced(1)


def test_lingering_starts_it_at_boot(service: Service) -> None:
    service.machine.reboot()
    service.machine.until(
        lambda: service.machine.try_run("test", "-S", "/run/user/1000/systemd/private").returncode == 0
    )
    service.wait_up()
    service.assert_balanced(2)


def test_stop_and_uninstall(service: Service) -> None:
    said = service.ringctl("uninstall-service", "--user")
    assert "done: systemctl --user disable --now ringvisor-agents.service" in said
    assert service.our_pids() == []
    assert service.machine.shell(f"find /home/{USER}/.config/systemd -name 'ringvisor*.service'", user=USER) == ""
