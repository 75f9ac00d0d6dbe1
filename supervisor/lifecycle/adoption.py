"""A supervisor that comes back asks the keeper what is true, and makes up for what it missed.

The journal is written before anything is done, so that its session is never older than the keeper's row, unless the
journal was lost; then the keeper's word counts. What was decided and not done any more is asked for again here, and
what happened meanwhile is fed through the same cells as the news it would have been. Ends that wait in the keeper
(`report`) come by themselves, right after this.

    keeper's epoch > ours   we have forgotten it: take the program over, and see
    keeper's epoch = ours   catch up; or, where we believe that nothing of it is left, we have forgotten it
    keeper's epoch < ours   the start never arrived: ask again; or it is a new keeper that found nothing
"""

from supervisor.lifecycle.effects import StartProgram
from supervisor.lifecycle.ending import ended, output_ended
from supervisor.lifecycle.events import Adopted, OutputEnded, ProgramExited, ProgramStarted
from supervisor.lifecycle.reasons import Stopped, Unknown
from supervisor.lifecycle.session import Run, Session
from supervisor.lifecycle.starting import begin, started, watch_start
from supervisor.lifecycle.states import Desired, Output, Program, SessionState
from supervisor.lifecycle.stopping import end_program, signal_program
from supervisor.lifecycle.turn import Turn


def adopt(turn: Turn, event: Adopted) -> None:
    is_known = event.epoch < turn.session.epoch or (
        event.epoch == turn.session.epoch and not _is_forgotten(turn, event)
    )
    if is_known and (event.epoch < turn.session.epoch or not turn.session.has_program):
        turn.acknowledge(event.report)  # acted on before; and before a start, which the keeper refuses until then
    if not is_known:
        _take_over(turn, event)
    elif event.epoch < turn.session.epoch:
        _never_arrived(turn, event)
    else:
        _catch_up(turn, event)
    if turn.session.state is SessionState.UNKNOWN:
        _resume(turn)


def _is_forgotten(turn: Turn, event: Adopted) -> bool:
    """Its number may be known from its log alone, where the journal was lost."""
    return turn.session.run is None and (event.program is not Program.GONE or event.output is Output.FLOWING)


def _take_over(turn: Turn, event: Adopted) -> None:
    if _is_over(event) and not turn.session.has_program:
        _count_on_from(turn, event.epoch)
        return
    begun_s = turn.now_s if event.started_s is None else event.started_s
    may_not_have_run = event.report or event.program is Program.ASKED  # what follows will tell
    program = Program.ASKED if may_not_have_run else Program.ALIVE
    turn.change(epoch=event.epoch, run=Run(event.epoch, begun_s, program, event.output, event.pid))
    if not turn.session.is_leaving:
        turn.want(Desired.UP)
    turn.move(SessionState.UNKNOWN, f"the keeper has epoch {event.epoch}, of which there is no record")
    _catch_up(turn, event)


def _count_on_from(turn: Turn, epoch: int) -> None:
    turn.change(epoch=epoch, run=None)
    if turn.session.state is SessionState.STARTING:
        begin(turn, "nothing is left of an earlier epoch")


def _never_arrived(turn: Turn, event: Adopted) -> None:
    run = turn.session.run
    if run is None:
        return
    if run.program is Program.ASKED and _goes_on_starting(turn.session):
        turn.do(StartProgram(run.epoch))
        return
    _end_unseen(turn, event)
    _end_output(turn, refused=False)


def _goes_on_starting(session: Session) -> bool:
    if session.state is SessionState.UNKNOWN:
        return session.desired is Desired.UP
    return session.state is SessionState.STARTING


def _catch_up(turn: Turn, event: Adopted) -> None:
    run = turn.session.run
    if run is None:
        return
    if run.program is Program.ASKED:
        _catch_up_start(turn, run, event)
    elif event.program is Program.ALIVE and turn.session.state is SessionState.STOPPING:
        signal_program(turn)
    if turn.run.program is not Program.GONE and event.program is Program.GONE and not event.report:
        _end_unseen(turn, event)
    if event.output is not Output.FLOWING:
        _end_output(turn, refused=event.output is Output.REFUSED)


def _catch_up_start(turn: Turn, run: Run, event: Adopted) -> None:
    if event.program is Program.ALIVE:
        at_s = run.begun_s if event.started_s is None else event.started_s
        started(turn, ProgramStarted(run.epoch, event.pid, at_s))
    elif event.output is Output.FLOWING:
        turn.change_run(output=Output.FLOWING)  # it started and ended unseen: the report of its end comes next


def _end_unseen(turn: Turn, event: Adopted) -> None:
    ended(turn, ProgramExited(turn.run.epoch, Unknown(), turn.now_s, chance=event.chance))


def _end_output(turn: Turn, *, refused: bool) -> None:
    run = turn.session.run
    if run is not None:
        output_ended(turn, OutputEnded(run.epoch, refused))


def _resume(turn: Turn) -> None:
    """What it was about before sight was lost, or what is wanted."""
    run = turn.run
    if run.ending is not None or turn.session.desired is Desired.DOWN:
        end_program(turn, run.ending or Stopped("operator"), "it was to be stopped")
    elif run.program is Program.ALIVE:
        watch_start(turn)
    else:
        turn.move(SessionState.STARTING, "the keeper is starting it")


def _is_over(event: Adopted) -> bool:
    return event.program is Program.GONE and event.output is not Output.FLOWING and not event.report
