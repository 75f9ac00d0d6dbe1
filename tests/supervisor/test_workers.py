"""Workers die and are replaced on the same fds; programs never notice."""

import os
import signal

import pytest

from childproc.spec import Io
from supervisor.keeper.messages import (
    Exited,
    OutputEnded,
    ProgramExited,
    Signal,
    Signalled,
    Started,
    WorkerDied,
    WorkerStarted,
    WorkerStopped,
)
from tests.support.keeper import KeeperUnderTest, Supervisor, program, shell


def start(supervisor: Supervisor, spec, session: str = "s") -> int:
    """The first worker's pid."""
    supervisor.create(session)
    supervisor.start(session, 1, spec)
    supervisor.expect(Started, session=session)
    return supervisor.expect(WorkerStarted, session=session).pid


def wait_for(keeper: KeeperUnderTest, session: str, output: bytes) -> None:
    while output not in keeper.output(session):
        pass


@pytest.mark.parametrize("io", Io)
def test_a_killed_worker_is_replaced_and_the_output_goes_on(keeper, supervisor, io):
    """What is written between two workers waits in the kernel; the program's exit status is known."""
    worker = start(supervisor, shell("trap 'echo two; exit 6' USR1; echo one; while :; do sleep 0.01; done", io=io))
    wait_for(keeper, "s", b"one")
    os.kill(worker, signal.SIGKILL)
    died = supervisor.expect(WorkerDied)
    assert (died.status, died.respawn_in_s) == (Signalled(signal.SIGKILL, core=False), 0)
    assert supervisor.expect(WorkerStarted).pid != worker
    supervisor.ask(Signal, "s", 1, signal.SIGUSR1)
    assert supervisor.expect(ProgramExited).status == Exited(6)
    supervisor.expect(OutputEnded, refused=False)
    assert keeper.output("s").split() == [b"one", b"two"]


def test_a_stopped_worker_is_said_to_be(keeper, supervisor):
    """By the kernel's word, not by looking; a new supervisor reads it in the table; killed, it is replaced."""
    worker = start(supervisor, program("cat"))
    os.kill(worker, signal.SIGSTOP)
    assert supervisor.expect(WorkerStopped, session="s").is_stopped
    assert supervisor.row("s").worker_is_stopped
    os.kill(worker, signal.SIGCONT)
    assert not supervisor.expect(WorkerStopped, session="s").is_stopped
    os.kill(worker, signal.SIGSTOP)
    assert supervisor.expect(WorkerStopped, session="s").is_stopped
    os.kill(worker, signal.SIGKILL)
    supervisor.expect(WorkerStarted)
    assert not supervisor.row("s").worker_is_stopped


def test_a_worker_has_its_own_fds_and_no_others(keeper, supervisor):
    """With another session's master in it, that session's terminal would never hang up."""
    start(supervisor, program("cat"), "other")
    worker = start(supervisor, shell("echo read; cat"))
    wait_for(keeper, "s", b"read")
    fds = sorted(map(int, os.listdir(f"/proc/{worker}/fd")))[3:]
    found = [os.readlink(f"/proc/{worker}/fd/{fd}") for fd in fds]
    assert sorted(found) == ["/dev/ptmx", f"{keeper.ring_dir}/s.out", "anon_inode:[pidfd]"]


def test_a_worker_is_a_child_of_the_keeper_in_a_session_of_its_own(keeper, supervisor):
    """A Ctrl-C at ringvisord's terminal is not meant for it."""
    worker = start(supervisor, shell("echo read; cat"))
    wait_for(keeper, "s", b"read")
    with open(f"/proc/{worker}/stat") as stat:
        _, parent, _, session = stat.read().rpartition(")")[2].split()[:4]
    assert (int(parent), int(session)) == (keeper.pid, worker)


def test_a_worker_that_dies_at_each_start_is_restarted_less_and_less_often(keeper, supervisor):
    """At once, then after 50 ms, 100 ms, 200 ms; and when it stops dying, all output is there."""
    keeper.write("s.worker", "abort")
    supervisor.create("s")
    supervisor.start("s", 1, program("echo", "patience"))
    delays = [supervisor.expect(WorkerDied).respawn_in_s for _ in range(4)]
    assert delays == [0, 0.05, 0.1, 0.2]
    keeper.write("s.worker", "")
    supervisor.ack(supervisor.expect(ProgramExited).seq)
    supervisor.expect(OutputEnded)
    assert keeper.output("s") == b"patience\r\n"


def test_a_refused_ring_is_reported_and_not_tried_again(keeper, supervisor):
    """Exit code 3 is the worker's decision; whether the program goes on is the supervisor's."""
    keeper.write("s.worker", "exit 3")
    supervisor.create("s")
    supervisor.start("s", 1, program("cat"))
    supervisor.expect(OutputEnded, refused=True)
    row = supervisor.row("s")
    assert (row.program, row.output, row.worker_pid) == ("running", "refused", 0)
    supervisor.ask(Signal, "s", 1, signal.SIGKILL)
    supervisor.ack(supervisor.expect(ProgramExited).seq)
    assert supervisor.row("s").program == "none"


def test_every_death_of_a_worker_rings_all_readers(keeper, supervisor):
    """It may have died between its commit and the bell."""
    worker = start(supervisor, program("cat"))
    bells = [os.open(f"{keeper.ring_dir}/bell.{number}", os.O_RDONLY | os.O_NONBLOCK) for number in range(3)]
    os.kill(worker, signal.SIGKILL)
    supervisor.expect(WorkerDied)
    supervisor.table()
    assert [os.read(bell, 10) for bell in bells] == [b"\x01"] * 3
    for bell in bells:
        os.close(bell)


def test_worker_and_program_killed_at_once(keeper, supervisor):
    """Both are the keeper's children: the exit is known, and a new worker drains what is left."""
    worker = start(supervisor, shell("echo last words; sleep 100"))
    pid = supervisor.row("s").pid
    os.kill(worker, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    exited = supervisor.expect(ProgramExited)
    assert exited.status == Signalled(signal.SIGKILL, core=False)
    supervisor.ack(exited.seq)
    supervisor.expect(OutputEnded)
    assert supervisor.row("s").program == "none"


def test_a_storm_of_worker_kills_never_touches_the_program(keeper, supervisor):
    """Killed as soon as it is there, six times: the same program runs to its own end."""
    worker = start(supervisor, shell("trap 'exit 3' USR1; while :; do echo line; done", io=Io.PIPE))
    pid = supervisor.row("s").pid
    for _ in range(6):
        os.kill(worker, signal.SIGKILL)
        worker = supervisor.expect(WorkerStarted).pid
    assert supervisor.row("s").pid == pid
    supervisor.ask(Signal, "s", 1, signal.SIGUSR1)
    assert supervisor.expect(ProgramExited).status == Exited(3)
    supervisor.expect(OutputEnded)
