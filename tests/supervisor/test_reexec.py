"""The keeper becomes another image of itself in the middle of everything."""

import contextlib
import os
import random
import signal
import subprocess
from collections.abc import Iterator

from childproc.spec import Io
from supervisor.keeper.messages import (
    Done,
    Exited,
    OutputEnded,
    ProgramExited,
    Reexec,
    Refused,
    Signal,
    SignalReceived,
    Start,
    Started,
    WorkerStarted,
)
from tests.support.keeper import KeeperUnderTest, Supervisor, program, shell


def image_started(keeper: KeeperUnderTest) -> bytes:
    """The command line of the keeper: --resume FD behind it says that it is another image."""
    with open(f"/proc/{keeper.pid}/cmdline", "rb") as cmdline:
        return cmdline.read()


def reexec(keeper: KeeperUnderTest, supervisor: Supervisor) -> None:
    assert supervisor.ask(Reexec) == Done(supervisor._rid)
    assert b"--resume" in image_started(keeper)


def test_children_exiting_around_it_are_each_reported_once(keeper, supervisor):
    """50 programs that end before, while and after; the pid stays, and so does the conversation."""
    for number in range(50):
        supervisor.create(f"s{number}")
        delay_s = random.Random(number).uniform(0, 0.5)
        supervisor.start(f"s{number}", 1, shell(f"sleep {delay_s:.3f}; echo said; exit {number}", io=Io.PIPE))
    reexec(keeper, supervisor)
    exits = [supervisor.expect(ProgramExited) for _ in range(50)]
    assert {exited.session: exited.status for exited in exits} == {f"s{n}": Exited(n) for n in range(50)}
    for exited in exits:
        supervisor.ack(exited.seq)
        supervisor.expect(OutputEnded, session=exited.session)
    assert all(row.program == "none" for row in supervisor.table().sessions)
    assert not [message for message in supervisor.unread if isinstance(message, ProgramExited)]
    assert {keeper.output(f"s{number}") for number in range(50)} == {b"said\n"}


def test_everything_that_ran_runs_on_and_can_be_worked_with(keeper, supervisor):
    """Program, worker and supervisor are the same; signals, new epochs and new workers work as before."""
    supervisor.create("s")
    supervisor.start("s", 1, program("cat"))
    pid = supervisor.expect(Started).pid
    worker = supervisor.expect(WorkerStarted).pid
    for _ in range(3):
        reexec(keeper, supervisor)
    row = supervisor.row("s")
    assert (row.pid, row.worker_pid, row.last_epoch) == (pid, worker, 1)
    os.kill(worker, signal.SIGKILL)
    assert supervisor.expect(WorkerStarted).pid != worker
    supervisor.ask(Signal, "s", 1, signal.SIGKILL)
    supervisor.ack(supervisor.expect(ProgramExited).seq)
    supervisor.expect(OutputEnded)
    assert supervisor.refusal(Start, "s", 1, program("true")).reason.startswith("epoch 1 of s was started before")
    assert supervisor.run("s", 2, program("true")).status == Exited(0)


def test_no_fd_is_lost_or_left_open_for_programs(keeper, supervisor):
    """The same number of fds, none of which an exec would pass on, and a program sees none of them."""
    supervisor.create("s")
    supervisor.create("t")
    supervisor.start("t", 1, program("cat"))
    supervisor.expect(WorkerStarted)
    before = sorted(kind(link) for link in keeper.fds().values())
    reexec(keeper, supervisor)
    while sorted(kind(link) for link in keeper.fds().values()) != before:
        pass  # the new template's predecessor is on its way out
    assert [fd for fd in keeper.fds() if fd > 2 and not closes_at_exec(keeper.pid, fd)] == []
    supervisor.run("s", 1, shell("ls /proc/$$/fd; :", io=Io.PIPE))
    assert keeper.output("s").split() == [b"0", b"1", b"2"]


def closes_at_exec(pid: int, fd: int) -> bool:
    with open(f"/proc/{pid}/fdinfo/{fd}") as info:
        flags = next(line for line in info if line.startswith("flags:"))
    return bool(int(flags.split()[1], 8) & os.O_CLOEXEC)


def kind(link: str) -> str:
    return link.partition(":")[0]


def test_a_start_under_way_is_finished_by_the_new_image(keeper, supervisor):
    """The gate is an fd like any other: G comes from the successor."""
    supervisor.create("s")
    keeper.write("stop-at", "prepared")
    supervisor.start("s", 1, shell("exit 4"))
    pid = supervisor.row("s").pid
    reexec(keeper, supervisor)
    assert supervisor.row("s").program == "preparing"
    os.kill(pid, signal.SIGCONT)
    assert supervisor.expect(Started).pid == pid
    assert supervisor.expect(ProgramExited).status == Exited(4)


def test_new_code_that_cannot_start_changes_nothing(keeper, supervisor):
    """It is tried dry, with the real state: its last words are the reason, and the old image goes on."""
    keeper.write("broken", "import error in the new code")
    refused = supervisor.ask(Reexec)
    assert isinstance(refused, Refused)
    assert "import error in the new code" in refused.reason
    assert b"--resume" not in image_started(keeper)
    supervisor.create("s")
    assert supervisor.run("s", 1, program("true")).status == Exited(0)


def test_what_was_not_acknowledged_is_told_by_the_new_image_too(keeper, supervisor):
    """Exits and signals, to the next supervisor, forked by the new template."""
    supervisor.create("s")
    supervisor.start("s", 1, program("false"))
    exited = supervisor.expect(ProgramExited)
    os.kill(keeper.pid, signal.SIGHUP)
    signalled = supervisor.expect(SignalReceived)
    reexec(keeper, supervisor)
    os.kill(supervisor.pid, signal.SIGKILL)
    second = keeper.supervisor()
    second.hello()
    assert second.expect(ProgramExited) == exited
    assert second.expect(SignalReceived) == signalled


def test_signals_in_the_gap_are_not_lost(keeper, supervisor):
    """A hail of them, from before to after: held back until there are handlers, where the default ends the fleet."""
    with hail_of_terms(keeper.pid):
        first = supervisor.expect(SignalReceived)
        reexec(keeper, supervisor)
        supervisor.ack(first.seq)
        assert supervisor.expect(SignalReceived, lambda again: again.seq > first.seq).signum == signal.SIGTERM


@contextlib.contextmanager
def hail_of_terms(pid: int) -> Iterator[None]:
    command = ["sh", "-c", f"while kill -TERM {pid}; do :; done"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as hail:
        try:
            yield
        finally:
            hail.kill()
