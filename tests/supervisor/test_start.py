"""The start protocol, with the child killed at every point, and with nothing left to start it with."""

import errno
import os
import resource
import signal
import subprocess

import pytest

from childproc.spec import Io, Phase
from supervisor.keeper.messages import Exited, OutputEnded, ProgramExited, Start, Started, StartFailed
from tests.support.keeper import KeeperUnderTest, Supervisor, program, running_keeper, shell

NOBODY = 65534
CHECKPOINTS = ("forked", "descriptors", "limits", "prepared", "reported", "released")


@pytest.mark.parametrize("io", Io)
@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_killed_before_it_ran(keeper, supervisor, checkpoint, io):
    """At each point between fork and exec: the start failed, once, and the next epoch starts as if nothing was."""
    supervisor.create("s")
    fds = keeper.fds()
    keeper.write("kill-at", checkpoint)
    supervisor.start("s", 1, program("true", io=io))
    failed = supervisor.expect(StartFailed, session="s", epoch=1)
    assert (failed.errno, failed.phase, failed.message) == (0, Phase.DIED, "killed by signal 9 before it ran")
    supervisor.ack(failed.seq)
    assert supervisor.row("s").program == "none"
    assert keeper.fds() == fds
    keeper.write("kill-at", "")
    assert supervisor.run("s", 2, program("true", io=io)).status == Exited(0)
    assert not [message for message in supervisor.unread if isinstance(message, StartFailed)]


@pytest.mark.parametrize("checkpoint", ["reported", "released"])
def test_a_storm_of_starts_that_are_killed_before_exec(keeper, supervisor, checkpoint):
    """Whether it ever ran is asked of the zombie, which is there until that is known: none is taken for an exit."""
    keeper.write("kill-at", checkpoint)
    for number in range(100):
        supervisor.create(f"s{number}")
        supervisor.start(f"s{number}", 1, program("true", io=Io.PIPE))
    ends = [supervisor.expect((StartFailed, ProgramExited)) for _ in range(100)]
    assert [end for end in ends if not isinstance(end, StartFailed)] == []
    assert len({end.session for end in ends}) == 100


def test_a_program_that_is_gone_at_once_has_run(supervisor):
    """Its zombie says that it exec'ed: Started comes before ProgramExited, whatever the keeper saw first."""
    supervisor.create("s")
    for epoch in range(1, 51):
        supervisor.start("s", epoch, program("false"))
        started = supervisor.expect(Started, epoch=epoch)
        exited = supervisor.expect(ProgramExited, epoch=epoch)
        assert started.time_ns <= exited.time_ns or exited.status == Exited(1)
        supervisor.ack(exited.seq)
        supervisor.expect(OutputEnded, epoch=epoch)


def test_killed_right_behind_exec_has_run_and_died(supervisor):
    """A program's own early death is an exit, never a failed start."""
    supervisor.create("s")
    exited = supervisor.run("s", 1, shell("kill -KILL $$"))
    assert exited.status.signal == signal.SIGKILL


def test_an_epoch_is_refused_the_second_time(supervisor):
    """While it runs, and when it is over."""
    supervisor.create("s")
    supervisor.start("s", 1, program("cat"))
    supervisor.expect(Started)
    refused = supervisor.refusal(Start, "s", 1, program("true"))
    assert refused.reason == "epoch 1 of s is not over: its program is running"


def test_a_stopped_child_is_not_waited_for(shm_dir):
    """A start has a limit: the child is killed, and the keeper served others all the time."""
    with running_keeper(shm_dir, start_max_s=0.3) as keeper:
        supervisor = greeted(keeper)
        keeper.write("stop-at", "prepared")
        supervisor.start("s", 1, program("true"))
        assert supervisor.row("s").program == "preparing"
        failed = supervisor.expect(StartFailed)
        assert (failed.errno, failed.message) == (errno.ETIMEDOUT, "not running after 0.3 s")


def test_without_a_keeper_nothing_runs(keeper, supervisor, tmp_path):
    """P is sent but nobody is left to say G: the child ends, the program never ran."""
    supervisor.create("s")
    keeper.write("stop-at", "prepared")
    supervisor.start("s", 1, program("touch", str(tmp_path / "ran")))
    pid = supervisor.row("s").pid
    wait_until_stopped(pid)
    os.kill(keeper.pid, signal.SIGKILL)
    keeper.wait()
    os.kill(pid, signal.SIGCONT)
    os.waitpid(pid, 0)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("io", Io)
def test_no_fds_left(shm_dir, io):
    """EMFILE with words, before the table is so full that the keeper could not go on; it goes on when there is room."""
    with running_keeper(shm_dir) as keeper:
        supervisor = greeted(keeper)
        fds, limits = keeper.fds(), resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE, (max(fds) + 8, limits[1]))
        supervisor.start("s", 1, program("true", io=io))
        failed = supervisor.expect(StartFailed)
        assert (failed.errno, failed.phase) == (errno.EMFILE, Phase.OPEN)
        assert "are in use" in failed.message
        assert keeper.fds() == fds
        resource.prlimit(keeper.pid, resource.RLIMIT_NOFILE, limits)
        supervisor.ack(failed.seq)
        assert supervisor.run("s", 2, program("true", io=io)).status == Exited(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a devpts of its own")
def test_no_terminals_left(shm_dir):
    """ENOSPC of /dev/ptmx is told as what it is; nothing is leaked, and a terminal that is given back can be used."""
    own_devpts = "mount --make-rprivate / && mount -t devpts -o newinstance,ptmxmode=0666,max=2 devpts /dev/pts && "
    bind = "mount --bind /dev/pts/ptmx /dev/ptmx && "
    wrapper = ("unshare", "-m", "sh", "-c", own_devpts + bind + 'exec "$@"', "sh")
    with running_keeper(shm_dir, wrapper=wrapper) as keeper:
        supervisor = greeted(keeper, "a", "b", "c")
        for session in ("a", "b"):
            supervisor.start(session, 1, program("cat"))
            supervisor.expect(Started, session=session)
        fds = keeper.fds()
        supervisor.start("c", 1, program("true"))
        failed = supervisor.expect(StartFailed, session="c")
        assert (failed.errno, failed.phase) == (errno.ENOSPC, Phase.OPEN)
        assert failed.message == "no terminal is left: see /proc/sys/kernel/pty/max"
        assert keeper.fds() == fds
        supervisor.ack(failed.seq)
        os.kill(supervisor.row("a").pid, signal.SIGKILL)
        supervisor.ack(supervisor.expect(ProgramExited, session="a").seq)
        supervisor.expect(OutputEnded, session="a")
        epoch = 2
        while (ended := started_or_not(supervisor, "c", epoch)).phase is Phase.OPEN:
            epoch += 1  # the kernel gives a terminal's number back a little later, from a work queue
        assert ended.phase is Phase.EXEC


@pytest.mark.skipif(os.geteuid() != 0, reason="root is not bound by RLIMIT_NPROC, so it becomes somebody who is")
def test_no_processes_left(shm_dir):
    """A fork that is refused is a failed start."""
    with running_keeper(shm_dir, uid=NOBODY) as keeper:
        supervisor = greeted(keeper)
        subprocess.run(["prlimit", "--nproc=0", f"--pid={keeper.pid}"], user=NOBODY, group=NOBODY, check=True)
        supervisor.start("s", 1, program("true"))
        failed = supervisor.expect(StartFailed)
        assert (failed.errno, failed.phase) == (errno.EAGAIN, Phase.FORK)


@pytest.mark.skipif(os.geteuid() != 0, reason="as any other user all tests prove it")
@pytest.mark.parametrize("io", Io)
def test_no_privilege_is_needed(shm_dir, io):
    """A keeper of nobody's runs programs of nobody's."""
    with running_keeper(shm_dir, uid=NOBODY) as keeper:
        supervisor = greeted(keeper)
        assert supervisor.run("s", 1, shell("id -u; test -w /dev/stdout", io=io)).status == Exited(0)
        assert keeper.output("s").strip() == b"%d" % NOBODY


def test_over_and_over_again_leaves_nothing(keeper, supervisor):
    """A hundred epochs, good and bad: the keeper's fds are what they were."""
    supervisor.create("s")
    fds = keeper.fds()
    for epoch in range(1, 101, 2):
        supervisor.run("s", epoch, program("true", io=Io.PIPE if epoch % 4 == 1 else Io.PTY))
        supervisor.start("s", epoch + 1, program("no-such-program"))
        supervisor.ack(supervisor.expect(StartFailed, epoch=epoch + 1).seq)
    assert supervisor.row("s").last_epoch == 100
    assert keeper.fds() == fds


def greeted(keeper: KeeperUnderTest, *sessions: str) -> Supervisor:
    supervisor = keeper.supervisor()
    supervisor.hello()
    for session in sessions or ("s",):
        supervisor.create(session)
    return supervisor


def started_or_not(supervisor: Supervisor, session: str, epoch: int) -> StartFailed:
    supervisor.start(session, epoch, program("no-such-program"))
    failed = supervisor.expect(StartFailed, session=session, epoch=epoch)
    supervisor.ack(failed.seq)
    return failed


def wait_until_stopped(pid: int) -> None:
    while True:
        with open(f"/proc/{pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "T":
                return
