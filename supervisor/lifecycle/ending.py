"""The end of a program: what it is called, what follows, and when nothing of the epoch is left.

Where it goes from here:
    desired down              STOPPED
    a start was asked for     STOPPED, and at once STARTING
    else the restart rules    EXITED | EXITED, BACKOFF | FATAL; an end before RUNNING goes to BACKOFF straight
"""

from typing import assert_never

from config.policies import Orphans
from supervisor.lifecycle.effects import KillTree
from supervisor.lifecycle.events import OutputEnded, ProgramExited, StartFailed
from supervisor.lifecycle.reasons import ExitReason, in_words
from supervisor.lifecycle.restart import End, GiveUp, Leave, RestartAfter, decide
from supervisor.lifecycle.session import Deadline, DeadlineKind
from supervisor.lifecycle.starting import begin, is_up, start_afresh
from supervisor.lifecycle.states import Desired, Output, Program, SessionState
from supervisor.lifecycle.turn import Turn

ORPHAN_LINGER_S = 0.5  # what is left by then is an orphan


def ended(turn: Turn, event: ProgramExited | StartFailed) -> None:
    """Told again until it is acknowledged: the second time, that is all there is to do."""
    run = turn.session.run
    if run is None or run.program is Program.GONE:
        turn.acknowledge(event.seq)
        return
    end = _end(turn, run.ending or event.reason, event)
    if turn.session.state is SessionState.STARTING and not end.is_quick and run.program is Program.ALIVE:
        is_up(turn)  # the news of its end overtook the deadline
    turn.change_run(program=Program.GONE)
    turn.change(exit=end.reason)
    if isinstance(event, ProgramExited) and _kills_orphans(turn):
        turn.do(KillTree(event.epoch, event.at_s + ORPHAN_LINGER_S))
    turn.acknowledge(event.seq)
    _go_on(turn, end, event.chance)
    turn.forget_if_left()


def _end(turn: Turn, reason: ExitReason, event: ProgramExited | StartFailed) -> End:
    lived_s = 0.0 if isinstance(event, StartFailed) else max(0.0, event.at_s - turn.run.begun_s)
    is_quick = lived_s < turn.session.rules.start_seconds and turn.session.state is not SessionState.STOPPING
    return End(reason, lived_s, event.at_s, is_quick)


def _kills_orphans(turn: Turn) -> bool:
    """Orphans are kept where a program left them, not where it was stopped: nothing is left after a stop."""
    return turn.session.rules.orphans is Orphans.KILL or turn.session.state is SessionState.STOPPING


def _go_on(turn: Turn, end: End, chance: float) -> None:
    if turn.session.desired is Desired.DOWN:
        _close(turn, SessionState.STOPPED, in_words(end.reason))
    elif turn.session.start_when_ended:
        _close(turn, SessionState.STOPPED, in_words(end.reason))
        start_afresh(turn, "a start was asked for")
    else:
        _follow_rules(turn, end, chance)


def _follow_rules(turn: Turn, end: End, chance: float) -> None:
    session = turn.session
    verdict = decide(session.history, end, session.rules.restart, session.rules.restart_on, chance)
    match verdict:
        case Leave(why=why):
            _close(turn, SessionState.EXITED, why)
        case GiveUp(why=why):
            _pass_exited(turn, end)
            _close(turn, SessionState.FATAL, why)
        case RestartAfter():
            _pass_exited(turn, end)
            _back_off(turn, end, verdict)
        case _:
            assert_never(verdict)


def _pass_exited(turn: Turn, end: End) -> None:
    """Who follows the states sees each program end that was up, or was stopped."""
    if turn.session.state is not SessionState.STARTING:
        turn.move(SessionState.EXITED, in_words(end.reason))


def _back_off(turn: Turn, end: End, verdict: RestartAfter) -> None:
    turn.change(history=verdict.history, restarts=turn.session.restarts + 1)
    deadline = Deadline(DeadlineKind.BACKOFF, end.at_s + verdict.wait_s)
    _close(turn, SessionState.BACKOFF, f"{verdict.why}, after {verdict.wait_s:.3g} s", deadline)
    if deadline.at_s <= turn.now_s:
        begin(turn, "there is nothing to wait for")


def _close(turn: Turn, state: SessionState, why: str, deadline: Deadline | None = None) -> None:
    turn.move(state, why, deadline)
    turn.settle()


def output_ended(turn: Turn, event: OutputEnded) -> None:
    run = turn.session.run
    if run is None or run.output is not Output.FLOWING:
        return
    turn.change_run(output=Output.REFUSED if event.refused else Output.ENDED)
    if event.refused:
        turn.tell("its ring could not be used: nobody reads its output")
    turn.settle()
    if turn.session.run is None and turn.session.state is SessionState.STARTING:
        begin(turn, "the old output has ended")
    turn.forget_if_left()
