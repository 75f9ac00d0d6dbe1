"""What the world sees of the keeper: signals, its record, its end."""

import json
import os
import signal

import pytest

from supervisor.keeper.messages import Done, Exited, ProgramExited, Shutdown, SignalReceived, Started
from supervisor.keeper.wakeup import FORWARDED
from tests.support.keeper import program, running_keeper
from tests.support.keeper_process import read
from tests.support.leaks import children_of


@pytest.mark.parametrize("signum", FORWARDED)
def test_signals_are_told_and_not_acted_on(keeper, supervisor, signum):
    """It is the supervisor that knows what TERM means; told again until acknowledged."""
    os.kill(keeper.pid, signum)
    assert supervisor.expect(SignalReceived).signum == signum
    os.kill(supervisor.pid, signal.SIGKILL)
    second = keeper.supervisor()
    second.hello()
    second.ack(second.expect(SignalReceived, signum=signum).seq)
    assert second.table().sessions == []


def test_its_record_tells_who_it_is(keeper, supervisor):
    """Pid, start time and boot id, and the same of its services; gone when it ends in order."""
    path = f"{keeper.runtime_dir}/keeper.json"
    assert json.loads(read(path)) == {
        **who(keeper.pid),
        "boot_id": read("/proc/sys/kernel/random/boot_id").strip(),
        "services": {"supervisor": who(supervisor.pid)},
    }
    supervisor.ask(Shutdown, leave=False)
    supervisor.close()
    keeper.wait()
    assert not os.path.exists(path)


def who(pid: int) -> dict[str, int]:
    return {"pid": pid, "start_ticks": int(read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19])}


def test_the_end_of_a_fleet(shm_dir):
    """Everything of ours is gone, and the exit code is the one that the supervisor asked for."""
    with running_keeper(shm_dir, router=True) as keeper:
        supervisor = keeper.supervisor()
        supervisor.hello()
        supervisor.create("s")
        assert supervisor.run("s", 1, program("true")).status == Exited(0)
        while not all(row.pid for row in supervisor.table().services):
            pass
        assert supervisor.ask(Shutdown, leave=False, exit_code=7) == Done(supervisor._rid)
        supervisor.close()
        assert keeper.wait() == 7
        assert children_of(os.getpid()) == []


def test_started_without_stdin_or_stdout(shm_dir):
    """What a sloppy init leaves closed is opened: nothing of ours may become a program's stdin by its number."""
    with running_keeper(shm_dir, wrapper=("sh", "-c", 'exec "$@" <&- >&-', "sh")) as keeper:
        supervisor = keeper.supervisor()
        supervisor.hello()
        supervisor.create("s")
        assert [keeper.fds()[fd] for fd in (0, 1)] == ["/dev/null", "/dev/null"]
        assert supervisor.run("s", 1, program("tty")).status == Exited(0)


def test_leaving_leaves_everything_that_runs(shm_dir):
    """Supervisor and template end; program, worker and router do not."""
    with running_keeper(shm_dir, router=True) as keeper:
        supervisor = keeper.supervisor()
        supervisor.hello()
        supervisor.create("s")
        supervisor.start("s", 1, program("cat"))
        pid = supervisor.expect(Started).pid
        while not all(row.pid for row in supervisor.table().services):
            pass
        (router,) = [row.pid for row in supervisor.table().services if row.name == "router"]
        worker = supervisor.row("s").worker_pid
        supervisor.ask(Shutdown, leave=True)
        supervisor.close()
        assert keeper.wait() == 0
        assert set(children_of(os.getpid())) == {pid, worker, router}


def test_a_dead_keeper_takes_nobody_with_it_but_the_supervisor(shm_dir):
    """The supervisor's channel ends; router, worker and program run on."""
    with running_keeper(shm_dir, router=True) as keeper:
        supervisor = keeper.supervisor()
        supervisor.hello()
        supervisor.create("s")
        supervisor.start("s", 1, program("cat"))
        supervisor.expect(Started)
        os.kill(keeper.pid, signal.SIGKILL)
        with pytest.raises(AssertionError, match="keeper closed"):
            supervisor.expect(ProgramExited)
        assert not [message for message in supervisor.unread if isinstance(message, ProgramExited)]
