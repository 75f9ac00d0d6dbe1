"""What a keeper makes of what the last one left: a table of cases, without a process."""

import ast
from pathlib import Path

import msgspec
import pytest

from childproc.job import LastWord, PipeFds, PtyFds
from childproc.spec import Phase
from ipc.ring_spec import RingSpec
from supervisor.keeper import adoption
from supervisor.keeper.adoption import Found, adopted
from supervisor.keeper.messages import Exited, ProgramExited, Signalled, StartFailed, Unseen
from supervisor.keeper.table import OutputState, ProgramState, Run, Session, SessionRecord, Table

NOW_NS = 10**12
WORKER = Found(pidfd=7, worker_pid=30, worker_pidfd=8, fds=PtyFds(9))


def a_run(program: ProgramState, *, fds: PtyFds | PipeFds | None = None, **more: object) -> Run:
    return Run(3, 0.5, 30.0, 1, program, 20, 555, pidfd=90, gate=91, fds=fds or PtyFds(92), **more)


def record(run: Run | None, report: ProgramExited | StartFailed | None = None, name: str = "s") -> SessionRecord:
    return SessionRecord(1, "boot", Session(name, RingSpec(4), 3, run), report)


def taken_over(run: Run, found: Found | None = None, report: ProgramExited | StartFailed | None = None) -> Table:
    return adopted([record(run, report)], {"s": found} if found else {}, NOW_NS)


def run_of(table: Table) -> Run:
    run = table.sessions["s"].run
    assert run
    return run


def test_a_session_at_rest_is_only_remembered() -> None:
    """Which epochs it had, and its ring; nothing is told of it."""
    table = adopted([record(None)], {}, NOW_NS)
    assert (table.sessions["s"].last_epoch, table.sessions["s"].ring.slot, table.reports) == (3, 4, {})


@pytest.mark.parametrize("state", [ProgramState.RELEASED, ProgramState.RUNNING])
def test_a_living_program_with_its_worker_goes_on(state: ProgramState) -> None:
    """On our numbers of its fds: those in the record were another process's."""
    run = run_of(taken_over(a_run(state), WORKER))
    assert (run.program, run.output, run.worker.pid) == (ProgramState.RUNNING, OutputState.FLOWING, 30)
    assert sorted(run.open_fds()) == [7, 8, 9]
    assert run.worker.started_ns == NOW_NS


def test_a_living_program_without_its_worker_gets_one_that_has_no_fds() -> None:
    """What it cannot read any more has ended; the program has not."""
    run = run_of(taken_over(a_run(ProgramState.RUNNING), Found(pidfd=7)))
    assert (run.program, run.output, run.worker.pid, run.fds) == (ProgramState.RUNNING, OutputState.FLOWING, 0, None)


def test_a_child_that_never_execed_is_to_be_killed() -> None:
    """Its gate went with its keeper. It has no output, and no worker."""
    run = run_of(taken_over(a_run(ProgramState.RELEASED), Found(pidfd=7, has_run=False)))
    assert (run.program, run.output, run.gate) == (ProgramState.RELEASED, OutputState.NONE, -1)


@pytest.mark.parametrize(
    ("word", "status", "time_ns"),
    [
        (LastWord(3, 77 << 8, 5), Exited(77), 5),
        (LastWord(3, 0x8B, 5), Signalled(11, core=True), 5),
        (LastWord(3, None, 5), Unseen(), 5),
        (LastWord(2, 0, 5), Unseen(), NOW_NS),
        (None, Unseen(), NOW_NS),
    ],
)
def test_a_program_that_is_gone_ended_as_its_worker_wrote(word: LastWord | None, status: object, time_ns: int) -> None:
    """Of this epoch: the word of another one says nothing."""
    table = taken_over(a_run(ProgramState.RUNNING), Found(word=word))
    (report,) = table.reports.values()
    assert report == ProgramExited(1, "s", 3, status, time_ns)
    assert (run_of(table).program, run_of(table).report) == (ProgramState.GONE, 1)


def test_an_end_that_was_recorded_is_told_again_under_its_number() -> None:
    """And new ones get later numbers."""
    told = ProgramExited(41, "s", 3, Exited(1), 6)
    records = [
        record(a_run(ProgramState.GONE, output=OutputState.FLOWING, report=41), told),
        record(a_run(ProgramState.RUNNING), name="t"),
    ]
    table = adopted(records, {"s": WORKER}, NOW_NS)
    assert table.reports[41] == told
    assert table.reports[42] == ProgramExited(42, "t", 3, Unseen(), NOW_NS)
    assert run_of(table).output is OutputState.FLOWING


def test_a_start_that_failed_has_no_output_to_wait_for() -> None:
    """Nobody writes an end into its ring."""
    failed = StartFailed(5, "s", 3, 2, Phase.EXEC, b"/x", "no such file", 6)
    table = taken_over(a_run(ProgramState.GONE, report=5), None, failed)
    assert run_of(table).output is OutputState.NONE
    table.acknowledge(5)
    assert run_of(table).over


@pytest.mark.parametrize(("recorded", "stdin"), [(-1, -1), (92, 10)])
def test_an_input_that_was_closed_stays_closed(recorded: int, stdin: int) -> None:
    """Also where the worker still has a copy: two closes end it, and one of them was ours."""
    found = Found(pidfd=7, worker_pid=30, worker_pidfd=8, fds=PipeFds(10, 11, 12))
    run = run_of(taken_over(a_run(ProgramState.RUNNING, fds=PipeFds(recorded, 93, 94)), found))
    assert run.fds == PipeFds(stdin, 11, 12)


def test_to_adopt_twice_is_to_adopt_once() -> None:
    """A keeper that dies in the middle has written nothing: the next one decides the same."""
    records = [record(a_run(ProgramState.RUNNING))]
    once = adopted(_copied(records), {}, NOW_NS)
    assert adopted(_copied(records), {}, NOW_NS) == once


def _copied(records: list[SessionRecord]) -> list[SessionRecord]:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(records), type=list[SessionRecord])


def test_the_plan_is_pure() -> None:
    """It imports values, and nothing that could look at the world."""
    tree = ast.parse(Path(adoption.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {
        "collections.abc",
        "msgspec",
        "childproc.job",
        "supervisor.keeper.messages",
        "supervisor.keeper.table",
    }
