"""Ends of programs: known, typed, and told until somebody says that they heard."""

import os
import random
import signal

from childproc.spec import Io
from supervisor.keeper.messages import (
    CloseStdin,
    Done,
    Exited,
    Forget,
    OutputEnded,
    ProgramExited,
    Signal,
    Signalled,
    Started,
    StartFailed,
    Target,
)
from tests.support.keeper import KeeperUnderTest, Supervisor, program, shell


def next_supervisor(keeper: KeeperUnderTest, last: Supervisor) -> Supervisor:
    os.kill(last.pid, signal.SIGKILL)
    return keeper.supervisor()


def start_many(supervisor: Supervisor, count: int, seconds: float) -> dict[str, int]:
    """Sessions and the codes with which their programs will exit, somewhen within these seconds."""
    codes = {f"s{number}": number % 200 for number in range(count)}
    for session, code in codes.items():
        supervisor.create(session)
        delay_s = random.Random(session).uniform(0, seconds)
        supervisor.start(session, 1, shell(f"sleep {delay_s:.3f}; exit {code}", io=Io.PIPE))
    return codes


def collect(supervisor: Supervisor, count: int) -> list[ProgramExited]:
    return [supervisor.expect(ProgramExited) for _ in range(count)]


def no_more(supervisor: Supervisor) -> bool:
    """No exit stands behind the answer to a question."""
    supervisor.table()
    return not any(isinstance(message, ProgramExited) for message in supervisor.unread)


def test_a_storm_of_exits(supervisor):
    """300 programs that end when they like: each is reported exactly once, with its own code."""
    codes = start_many(supervisor, 300, 0.5)
    exits = collect(supervisor, 300)
    assert {exited.session: exited.status for exited in exits} == {s: Exited(code) for s, code in codes.items()}
    assert no_more(supervisor)
    assert [exited.seq for exited in exits] == sorted({exited.seq for exited in exits})


def test_a_new_supervisor_is_told_what_nobody_acknowledged(keeper, supervisor):
    """Also failed starts, in the same order, and not what was acknowledged."""
    for session in ("heard", "unheard", "failed"):
        supervisor.create(session)
    supervisor.run("heard", 1, program("true"))
    supervisor.start("unheard", 1, shell("exit 5"))
    unheard = supervisor.expect(ProgramExited)
    supervisor.start("failed", 1, program("no-such-program"))
    failed = supervisor.expect(StartFailed)

    second = next_supervisor(keeper, supervisor)
    second.hello()
    assert second.expect(ProgramExited) == unheard
    assert second.expect(StartFailed) == failed
    second.ack(unheard.seq)
    second.table()

    third = next_supervisor(keeper, second)
    third.hello()
    assert third.expect(StartFailed) == failed
    assert no_more(third)


def test_exits_while_nobody_listens_wait(keeper, supervisor):
    """The programs that end between two supervisors are told to the second, each once."""
    codes = start_many(supervisor, 50, 0.3)
    started = {supervisor.expect(Started).session for _ in codes}
    second = next_supervisor(keeper, supervisor)
    second.hello()
    exits = collect(second, 50)
    assert {exited.session: exited.status.code for exited in exits} == codes
    assert started == set(codes)
    assert no_more(second)


def test_the_table_tells_a_new_supervisor_where_everything_stands(keeper, supervisor):
    """Sessions, epochs, pids and states, without having seen any of it happen."""
    supervisor.create("idle")
    supervisor.create("busy")
    supervisor.start("busy", 4, program("cat"))
    pid = supervisor.expect(Started).pid
    second = next_supervisor(keeper, supervisor)
    rows = {row.session: row for row in second.hello().sessions}
    assert (rows["idle"].last_epoch, rows["idle"].program) == (0, "none")
    busy = rows["busy"]
    assert (busy.last_epoch, busy.program, busy.pid, busy.output) == (4, "running", pid, "flowing")
    assert busy.worker_pid > 0


def test_an_unacknowledged_end_holds_the_next_epoch_back(supervisor):
    """Whoever decides must know how the last one ended."""
    supervisor.create("s")
    supervisor.start("s", 1, program("true"))
    exited = supervisor.expect(ProgramExited)
    supervisor.expect(OutputEnded)
    assert supervisor.refusal(Forget, "s").reason == "s is in use"
    supervisor.ack(exited.seq)
    assert supervisor.ask(Forget, "s") == Done(supervisor._rid)


def test_signals_reach_the_leader_or_its_whole_group(supervisor):
    """The leader alone by pidfd, all of them by their group."""
    supervisor.create("s")
    supervisor.start("s", 1, shell("trap 'exit 7' TERM; sleep 100 & wait"))
    supervisor.expect(Started)
    wait_for_sleep_below(supervisor.row("s").pid)
    assert isinstance(supervisor.ask(Signal, "s", 1, signal.SIGTERM, Target.LEADER), Done)
    exited = supervisor.expect(ProgramExited)
    assert exited.status == Exited(7)
    supervisor.ack(exited.seq)

    supervisor.create("g")
    supervisor.start("g", 1, shell("sleep 100; exit 8"))
    wait_for_sleep_below(supervisor.expect(Started).pid)
    assert isinstance(supervisor.ask(Signal, "g", 1, signal.SIGTERM, Target.GROUP), Done)
    assert supervisor.expect(ProgramExited, session="g").status == Signalled(signal.SIGTERM, core=False)


def test_nobody_is_signalled_once_the_program_is_gone(supervisor):
    """Its pid may be another's; the epoch's number protects the next one too."""
    supervisor.create("s")
    supervisor.start("s", 1, program("true"))
    seq = supervisor.expect(ProgramExited).seq
    for target in Target:
        assert "is gone" in supervisor.refusal(Signal, "s", 1, signal.SIGTERM, target).reason
    supervisor.ack(seq)
    supervisor.expect(OutputEnded)
    supervisor.start("s", 2, program("cat"))
    supervisor.expect(Started, epoch=2)
    assert supervisor.refusal(Signal, "s", 1, signal.SIGTERM, Target.LEADER).reason == "epoch 1 of s is not under way"


def test_a_core_dump_is_said(supervisor, keeper):
    """Killed by a signal that dumps core: the flag is the kernel's, and follows the limit."""
    supervisor.create("s")
    status = supervisor.run("s", 1, shell("ulimit -c 0; kill -QUIT $$")).status
    assert status == Signalled(signal.SIGQUIT, core=False)


def test_orphans_are_reaped_and_not_reported(keeper, supervisor):
    """A grandchild that outlives its parent becomes the keeper's child; nobody asked for its status."""
    supervisor.create("s")
    supervisor.run("s", 1, shell("setsid sh -c 'exit 9' &", io=Io.PIPE))
    supervisor.run("s", 2, program("true"))
    assert no_more(supervisor)
    while any(state(pid) == "Z" for pid in children(keeper.pid)):
        pass


def test_the_end_of_stdin(keeper, supervisor):
    """With the worker's copy gone too, the program reads the end of its input; a terminal has no such end."""
    supervisor.create("p")
    supervisor.start("p", 1, program("cat", io=Io.PIPE))
    supervisor.expect(Started)
    for _ in range(2):
        assert isinstance(supervisor.ask(CloseStdin, "p", 1), Done)
    os.kill(supervisor.row("p").worker_pid, signal.SIGKILL)
    assert supervisor.expect(ProgramExited).status == Exited(0)

    supervisor.create("t")
    supervisor.start("t", 1, program("cat"))
    assert "terminal" in supervisor.refusal(CloseStdin, "t", 1).reason


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def wait_for_sleep_below(pid: int) -> None:
    """Until the shell has got so far."""
    while not any(cmdline(child).startswith("sleep") for child in children(pid)):
        pass


def cmdline(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read()


def state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""
