"""From the wish to start until the program counts as RUNNING."""

from supervisor.lifecycle.effects import StartProgram
from supervisor.lifecycle.events import (
    DeadlinePassed,
    ProgramStarted,
    RestartRequested,
    StartRequested,
)
from supervisor.lifecycle.restart import RestartHistory
from supervisor.lifecycle.session import Deadline, DeadlineKind, Run
from supervisor.lifecycle.states import Desired, Output, Program, SessionState
from supervisor.lifecycle.stopping import signal_program
from supervisor.lifecycle.turn import Turn


def start(turn: Turn, event: StartRequested | RestartRequested) -> None:
    turn.refuse_if_leaving()
    start_afresh(turn, f"start asked by {event.by}")


def start_when_ended(turn: Turn, event: StartRequested | RestartRequested) -> None:
    turn.refuse_if_leaving()
    turn.want(Desired.UP, start_when_ended=True)
    turn.tell(f"start asked by {event.by}: follows once the program has ended")


def start_afresh(turn: Turn, why: str) -> None:
    """Asked for, so that earlier failures count no more."""
    turn.want(Desired.UP)
    turn.change(history=RestartHistory())
    begin(turn, why)


def begin(turn: Turn, why: str) -> None:
    old = turn.session.run
    if old is not None:
        turn.move(SessionState.STARTING, f"{why}; waits until the output of epoch {old.epoch} has ended")
        return
    epoch = turn.session.epoch + 1
    turn.change(epoch=epoch, run=Run(epoch, begun_s=turn.now_s))
    turn.move(SessionState.STARTING, why)
    turn.do(StartProgram(epoch))


def started(turn: Turn, event: ProgramStarted) -> None:
    run = turn.run
    if run.program is not Program.ASKED:
        return
    turn.change_run(program=Program.ALIVE, pid=event.pid, begun_s=event.at_s, output=Output.FLOWING)
    if turn.session.state is SessionState.STOPPING:
        signal_program(turn)  # it was asked to stop before it could be signalled
    elif turn.session.state is SessionState.STARTING:
        watch_start(turn)


def watch_start(turn: Turn) -> None:
    """Also for a program that was found running."""
    session, run = turn.session, turn.run
    up_at_s = run.begun_s + session.rules.start_seconds
    if turn.now_s >= up_at_s:
        is_up(turn)
        return
    deadline = Deadline(DeadlineKind.START_SECONDS, up_at_s)
    if session.state is SessionState.STARTING:
        turn.change(deadline=deadline)
    else:
        turn.move(SessionState.STARTING, "it runs, and has to stay up", deadline)


def start_seconds_passed(turn: Turn, _event: DeadlinePassed) -> None:
    is_up(turn)


def is_up(turn: Turn) -> None:
    turn.move(SessionState.RUNNING, f"up for {turn.session.rules.start_seconds:g} s")


def backoff_passed(turn: Turn, _event: DeadlinePassed) -> None:
    begin(turn, "the wait is over")
