"""The stop signal, and after its timeout the kill of the whole tree, again and again: in D state nothing dies."""

from supervisor.lifecycle.effects import KillTree, SendSignal, SignalTarget
from supervisor.lifecycle.errors import RefusedError
from supervisor.lifecycle.events import (
    Condemned,
    DeadlinePassed,
    Removed,
    RestartRequested,
    SightLost,
    StopRequested,
    StopSignalSent,
)
from supervisor.lifecycle.reasons import ExitReason, Stopped, in_words
from supervisor.lifecycle.session import Deadline, DeadlineKind
from supervisor.lifecycle.states import Desired, Program, SessionState
from supervisor.lifecycle.turn import Turn

KILL_AGAIN_S = 5.0


def stop(turn: Turn, event: StopRequested | Removed) -> None:
    turn.want(Desired.DOWN)
    why = f"stop asked by {event.by}"
    if turn.session.has_program:
        end_program(turn, Stopped(event.by), why)
    else:
        turn.move(SessionState.STOPPED, why)


def stay_down(turn: Turn, event: StopRequested) -> None:
    """It does not run, but would be started at the next boot."""
    if turn.session.desired is Desired.DOWN:
        raise RefusedError("not running")
    turn.want(Desired.DOWN)
    turn.tell(f"stop asked by {event.by}: it will not be started by itself")


def stop_after_all(turn: Turn, event: StopRequested) -> None:
    """It is ending already: only what follows changes."""
    if turn.session.desired is Desired.UP:
        turn.want(Desired.DOWN)
        turn.tell(f"stop asked by {event.by}: nothing follows its end")


def stop_before_sight(turn: Turn, event: StopRequested) -> None:
    turn.want(Desired.DOWN)
    turn.tell(f"stop asked by {event.by}: follows once it is known what runs")


def restart(turn: Turn, event: RestartRequested) -> None:
    turn.refuse_if_leaving()
    if not turn.session.has_program:
        return  # it is stopped, waits for the old epoch's output, and is started next
    turn.want(Desired.UP, start_when_ended=True)
    end_program(turn, Stopped(event.by), f"restart asked by {event.by}")


def condemn(turn: Turn, event: Condemned) -> None:
    if turn.session.has_program:
        end_program(turn, event.reason, in_words(event.reason))


def end_program(turn: Turn, ending: ExitReason, why: str) -> None:
    """`ending` is what its end will be called, whatever code it leaves with."""
    turn.change_run(ending=ending)
    timeout_s = turn.session.rules.stop.timeout_s
    turn.move(SessionState.STOPPING, why, Deadline(DeadlineKind.STOP_TIMEOUT, turn.now_s + timeout_s))
    signal_program(turn)


def signal_program(turn: Turn) -> None:
    """Once, as far as one can know. Before exec it would die of it without a word: it is signalled when it runs."""
    run = turn.run
    if run.program is Program.ALIVE and not run.is_signal_sent:
        turn.do(SendSignal(run.epoch, turn.session.rules.stop.signal, SignalTarget.GROUP))


def signal_sent(turn: Turn, _event: StopSignalSent) -> None:
    turn.change_run(is_signal_sent=True)


def stop_timeout_passed(turn: Turn, _event: DeadlinePassed) -> None:
    kills = turn.run.kills + 1
    turn.change_run(kills=kills)
    turn.change(deadline=Deadline(DeadlineKind.KILL_AGAIN, turn.now_s + KILL_AGAIN_S))
    turn.do(KillTree(turn.run.epoch, turn.now_s))
    turn.tell("the stop timeout passed: killing the whole tree" if kills == 1 else f"killing it, attempt {kills}")


def stop_and_remove(turn: Turn, event: Removed) -> None:
    turn.change(is_leaving=True)
    stop(turn, event)
    turn.forget_if_left()


def remove_when_ended(turn: Turn, _event: Removed) -> None:
    turn.change(is_leaving=True)
    turn.want(Desired.DOWN)
    turn.forget_if_left()


def lose_sight(turn: Turn, event: SightLost) -> None:
    if turn.session.has_program:
        turn.move(SessionState.UNKNOWN, event.why)
