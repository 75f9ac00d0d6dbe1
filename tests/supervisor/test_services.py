"""Router, supervisor and the template they are forked from: whoever dies is there again."""

import os
import signal

import pytest

from supervisor.keeper.messages import (
    Exited,
    ProgramExited,
    ServiceDied,
    ServiceStarted,
    Signalled,
    Start,
    Started,
)
from tests.support.keeper import KeeperUnderTest, Supervisor, program, running_keeper
from tests.support.keeper_process import read
from tests.support.leaks import children_of
from tests.support.stand_in_services import HOW_THE_LAST_ONE_ENDED

KILLED = Signalled(int(signal.SIGKILL), core=False)


@pytest.fixture
def keeper(shm_dir):
    with running_keeper(shm_dir, router=True) as keeper:
        yield keeper


def pid_of(supervisor: Supervisor, service: str) -> int:
    """As soon as it runs."""
    while not (pid := {row.name: row.pid for row in supervisor.table().services}[service]):
        pass
    return pid


def templates_of(keeper: KeeperUnderTest, supervisor: Supervisor) -> list[int]:
    """The one in use and its twin, once all services run: until then there may be children that are none yet."""
    while True:
        services = {row.pid for row in supervisor.table().services}
        others = set(children_of(keeper.pid)) - services
        if 0 not in services and len(others) == 2:
            return sorted(others)


def kill_templates(keeper: KeeperUnderTest, supervisor: Supervisor) -> None:
    """Both at once: their keeper sleeps meanwhile."""
    templates = templates_of(keeper, supervisor)
    os.kill(keeper.pid, signal.SIGSTOP)
    for pid in templates:
        os.kill(pid, signal.SIGKILL)
    os.kill(keeper.pid, signal.SIGCONT)


def notes(keeper: KeeperUnderTest, lines: int) -> list[str]:
    """How the router's predecessors ended, once there are so many notes."""
    while len(found := read(f"{keeper.runtime_dir}/{HOW_THE_LAST_ONE_ENDED}").splitlines()) < lines:
        pass
    return found


def test_services_are_the_keepers_children(keeper, supervisor):
    """Forked twice by the template, in a session of their own."""
    for pid in (supervisor.pid, pid_of(supervisor, "router")):
        with open(f"/proc/{pid}/stat") as stat:
            _, parent, _, session = stat.read().rpartition(")")[2].split()[:4]
        assert (int(parent), int(session)) == (keeper.pid, pid)


def test_a_service_has_its_own_fds_and_no_others(keeper, supervisor):
    """The supervisor has its channel, which it gave to us, and its way to us; the router has nothing."""
    router = pid_of(supervisor, "router")
    notes(keeper, 1)
    for pid, count in ((router, 3), (supervisor.pid, 4)):
        while len(os.listdir(f"/proc/{pid}/fd")) != count:
            pass  # the gate, the notes and our channel are just being closed


def test_a_killed_router_is_started_again_and_told_how_the_last_one_ended(keeper, supervisor):
    """At once, and everybody's bell is rung: the dead one may have owed them a wake-up."""
    supervisor.create("s")
    os.mkfifo(f"{keeper.ring_dir}/s.bell")
    bells = [os.open(f"{keeper.ring_dir}/{name}", os.O_RDONLY | os.O_NONBLOCK) for name in ("bell.0", "s.bell")]
    assert notes(keeper, 1) == ["None"]
    os.kill(pid_of(supervisor, "router"), signal.SIGKILL)
    died = supervisor.expect(ServiceDied)
    assert died == ServiceDied("router", KILLED, 0)
    supervisor.expect(ServiceStarted, name="router")
    assert notes(keeper, 2) == ["None", str(KILLED)]
    assert [os.read(bell, 10) for bell in bells] == [b"\x01", b"\x01"]
    for bell in bells:
        os.close(bell)


def test_a_router_that_dies_again_and_again_is_started_less_and_less_often(keeper, supervisor):
    """The same backoff as for workers."""
    delays = []
    for _ in range(4):
        os.kill(pid_of(supervisor, "router"), signal.SIGKILL)
        delays.append(supervisor.expect(ServiceDied).respawn_in_s)
    assert delays == [0, 0.05, 0.1, 0.2]


def test_a_killed_supervisor_is_started_again_and_everything_else_runs_on(keeper, supervisor):
    """The next one knows how the last one ended, and finds the program where it was."""
    supervisor.create("s")
    supervisor.start("s", 1, program("cat"))
    pid = supervisor.expect(Started).pid
    router = pid_of(supervisor, "router")
    os.kill(supervisor.pid, signal.SIGKILL)
    second = keeper.supervisor()
    assert second.predecessor == KILLED
    table = second.hello()
    assert (table.sessions[0].pid, pid_of(second, "router")) == (pid, router)
    assert supervisor.receive() is None or supervisor.receive() is None


def test_a_supervisor_that_hangs_up_but_stays_is_killed(keeper, supervisor):
    """It would stand in the way of the next one."""
    supervisor.channel.close()
    second = keeper.supervisor()
    assert second.predecessor == KILLED


def test_a_killed_template_is_followed_by_its_twin(keeper, supervisor):
    """Nothing is loaded from disk, whichever of the two dies; the next services are forked by the one that is left."""
    for number in (0, 1, 0):
        templates = templates_of(keeper, supervisor)
        router = pid_of(supervisor, "router")
        os.kill(templates[number], signal.SIGKILL)
        while templates[number] in templates_of(keeper, supervisor):
            pass
        os.kill(router, signal.SIGKILL)
        while supervisor.expect(ServiceStarted, name="router").pid == router:
            pass
    assert "loads its code from disk" not in keeper.stderr()


def test_a_template_that_is_killed_with_its_twin_is_loaded_again(keeper, supervisor):
    """Services run on; the next one that dies is forked by the new template."""
    router = pid_of(supervisor, "router")
    kill_templates(keeper, supervisor)
    os.kill(router, signal.SIGKILL)
    while supervisor.expect(ServiceStarted, name="router").pid == router:
        pass
    templates_of(keeper, supervisor)
    assert "loads its code from disk" in keeper.stderr()


def test_a_changed_file_is_noticed_when_the_template_is_loaded_again(shm_dir, tmp_path):
    """A crash is never an upgrade: when it has to be one, the log says so."""
    package = tmp_path / "config"
    package.mkdir()
    (package / "__init__.py").write_text("")
    with running_keeper(shm_dir, preload=("config",), pythonpath=str(tmp_path)) as keeper:
        supervisor = keeper.supervisor()
        supervisor.hello()
        (package / "__init__.py").write_text("# another version\n")
        kill_templates(keeper, supervisor)
        os.kill(supervisor.pid, signal.SIGKILL)
        keeper.supervisor().hello()
        while "not what the last template had loaded" not in keeper.stderr():
            pass


def test_everything_killed_at_once(keeper, supervisor):
    """Template, router, supervisor and worker: the program runs on, and its exit is known."""
    supervisor.create("s")
    supervisor.start("s", 1, program("cat"))
    pid = supervisor.expect(Started).pid
    pid_of(supervisor, "router")
    for child in children_of(keeper.pid):
        if child != pid:
            os.kill(child, signal.SIGKILL)
    second = keeper.supervisor()
    row = second.hello().sessions[0]
    assert (row.pid, row.program) == (pid, "running")
    pid_of(second, "router")
    os.kill(pid, signal.SIGTERM)
    assert second.expect(ProgramExited).status == Signalled(signal.SIGTERM, core=False)


def test_a_storm_of_kills_of_all_services(keeper, supervisor):
    """Supervisor and router, ten times each: every new supervisor is greeted, nothing is left over."""
    supervisor.create("s")
    for epoch in range(1, 6):
        supervisor.start("s", epoch, program("true"))
        exited = supervisor.expect(ProgramExited, epoch=epoch)
        os.kill(pid_of(supervisor, "router"), signal.SIGKILL)
        os.kill(supervisor.pid, signal.SIGKILL)
        supervisor = keeper.supervisor()
        supervisor.hello()
        assert supervisor.expect(ProgramExited, epoch=epoch) == exited
        supervisor.ack(exited.seq)
        while supervisor.row("s").program != "none":
            pass
    assert supervisor.refusal(Start, "s", 5, program("true")).reason.startswith("epoch 5 of s was started before")
    assert exited.status == Exited(0)
    pid_of(supervisor, "router")
    assert len(children_of(keeper.pid)) == 4  # template, twin, supervisor, router
