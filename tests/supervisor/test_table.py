"""The keeper's memory, without a process in sight."""

import msgspec
import pytest

from childproc.spec import Phase, StartError
from ipc.ring_spec import RingSpec
from supervisor.keeper.messages import Exited, ProgramExited, StartFailed
from supervisor.keeper.table import NotPossibleError, OutputState, ProgramState, Run, Table


@pytest.fixture
def table() -> Table:
    made = Table()
    made.create("s", RingSpec(1))
    return made


def begin(table: Table, epoch: int) -> Run:
    return table.begin("s", epoch, orphan_linger_s=0.5, stall_max_s=30, now_ns=0)


def end(table: Table, run: Run) -> int:
    run.output = OutputState.ENDED
    return table.exited(table.session("s"), run, Exited(0), 1).seq


def finish(table: Table) -> None:
    table.session("s").run = None


def test_an_epoch_is_never_started_twice(table):
    """Nor one before the last, also after that one is over."""
    begin(table, 3)
    finish(table)
    for epoch in (1, 3):
        with pytest.raises(NotPossibleError, match="started before, the last one was 3"):
            begin(table, epoch)
    assert begin(table, 4).epoch == 4


def test_one_epoch_at_a_time(table):
    """The reason says what the last one still waits for."""
    run = begin(table, 1)
    with pytest.raises(NotPossibleError, match="its program is preparing"):
        begin(table, 2)
    run.output = OutputState.FLOWING
    seq = table.exited(table.session("s"), run, Exited(0), 1).seq
    with pytest.raises(NotPossibleError, match="its output has not ended"):
        begin(table, 2)
    run.output = OutputState.ENDED
    with pytest.raises(NotPossibleError, match=f"report {seq} is not acknowledged"):
        begin(table, 2)


@pytest.mark.parametrize("order", [("exit", "output", "ack"), ("exit", "ack", "output"), ("output", "exit", "ack")])
def test_over_needs_exit_output_and_acknowledgement(table, order):
    """In whatever order they come."""
    run, session = begin(table, 1), table.session("s")
    run.output = OutputState.FLOWING
    for step in order:
        assert not run.over
        match step:
            case "exit":
                table.exited(session, run, Exited(0), 1)
            case "output":
                run.output = OutputState.ENDED
            case "ack":
                assert table.acknowledge(run.report) == ProgramExited(1, "s", 1, Exited(0), 1)
    assert run.over


def test_ends_are_kept_until_acknowledged_in_order(table):
    """Numbers rise; what is acknowledged is not kept."""
    table.create("t", RingSpec(2))
    first = end(table, begin(table, 1))
    other = table.begin("t", 1, orphan_linger_s=0, stall_max_s=0, now_ns=0)
    error = StartError(2, Phase.EXEC, b"x", "no such file")
    second = table.failed(table.session("t"), other, error, 5).seq
    assert list(table.reports) == [first, second] == sorted({first, second})
    assert table.reports[second] == StartFailed(second, "t", 1, 2, Phase.EXEC, b"x", "no such file", 5)
    table.acknowledge(first)
    assert list(table.reports) == [second]


def test_acknowledged_twice_is_once(table):
    """A supervisor that died behind its acknowledgement says it again."""
    seq = end(table, begin(table, 1))
    assert table.acknowledge(seq)
    assert table.acknowledge(seq) is None


def test_nobody_acknowledges_the_future(table):
    """A number that was never given out is a lie."""
    with pytest.raises(NotPossibleError, match="never sent"):
        table.acknowledge(1)


def test_the_same_signal_waits_once(table):
    """What comes meanwhile is told once more behind the acknowledgement: the first may have been acted on before."""
    report = table.signal_received(15)
    assert report
    assert table.signal_again(15) is None
    assert [table.signal_received(15), table.signal_received(15)] == [None, None]
    assert table.signal_received(1)
    table.acknowledge(report.seq)
    assert table.signal_again(15)
    assert table.signal_again(15) is None


def test_create_again_changes_nothing_but_contradictions_are_refused(table):
    """The same ring is done already; another one, or another's slot, is not possible."""
    assert not table.create("s", RingSpec(1))
    with pytest.raises(NotPossibleError, match="another ring"):
        table.create("s", RingSpec(2))
    with pytest.raises(NotPossibleError, match="slot 1 is taken"):
        table.create("t", RingSpec(1))


def test_only_idle_sessions_are_forgotten(table):
    """And a forgotten one is unknown."""
    begin(table, 1)
    with pytest.raises(NotPossibleError, match="in use"):
        table.forget("s")
    finish(table)
    table.forget("s")
    with pytest.raises(NotPossibleError, match="no session s"):
        table.session("s")


def test_a_table_is_read_back_as_it_was_written(table):
    """It travels through a re-exec as plain data."""
    run = begin(table, 7)
    run.program, run.pid, run.pidfd = ProgramState.RUNNING, 10, 11
    end(table, run)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(table), type=Table)
    assert again == table
    assert isinstance(next(iter(again.reports.values())), ProgramExited)
