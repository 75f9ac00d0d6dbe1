"""THE machine: step(session, event, now) -> (session, effects).

A pure function, looked up in a table by (state, event): each cell is a small function, and each cell there is.

                   STOPPED  STARTING  RUNNING  BACKOFF  STOPPING   EXITED  FATAL  UNKNOWN
    start          start    refused   refused  now      then       start   start  refused
    stop           refused  stop      stop     STOPPED  down       down    down   then
    restart        start    restart   restart  now      then       start   start  refused
    deadline       -        RUNNING   -        start    kill tree  -       -      -
    program ended  ack      rules     rules    ack      rules      ack     ack    rules

One deadline a session, and one owner of it: the state. A `-` and an `ack` change nothing, and each is in the table:
a deadline that another event overtook, an end that the keeper tells again.
What an event says of an earlier epoch is acknowledged and forgotten; of a later one, it is impossible.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from supervisor.lifecycle.adoption import adopt
from supervisor.lifecycle.effects import Effect
from supervisor.lifecycle.ending import ended, output_ended
from supervisor.lifecycle.errors import ImpossibleEventError, RefusedError
from supervisor.lifecycle.events import (
    Adopted,
    Condemned,
    DeadlinePassed,
    EpochEvent,
    Event,
    OutputEnded,
    ProgramExited,
    ProgramStarted,
    Removed,
    RestartRequested,
    SightLost,
    SpecChanged,
    StartFailed,
    StartRequested,
    StopRequested,
    StopSignalSent,
)
from supervisor.lifecycle.respec import change_rules
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.starting import backoff_passed, start, start_seconds_passed, start_when_ended, started
from supervisor.lifecycle.states import SessionState
from supervisor.lifecycle.stopping import (
    condemn,
    lose_sight,
    remove_when_ended,
    restart,
    signal_sent,
    stay_down,
    stop,
    stop_after_all,
    stop_and_remove,
    stop_before_sight,
    stop_timeout_passed,
)
from supervisor.lifecycle.turn import Turn

E = TypeVar("E", bound=Event)
Cell = Callable[[Turn, E], None]
Row = Mapping[SessionState, Cell[Any]]


def step(session: Session, event: Event, now_s: float) -> tuple[Session, tuple[Effect, ...]]:
    """Raises RefusedError or ImpossibleEventError; the session is as it was then."""
    turn = Turn(session, now_s)
    if isinstance(event, EpochEvent) and event.epoch != session.epoch:
        _of_another_epoch(turn, event)
    else:
        TABLE[type(event)][session.state](turn, event)
    return turn.session, tuple(turn.effects)


def _of_another_epoch(turn: Turn, event: EpochEvent) -> None:
    if event.epoch > turn.session.epoch:
        raise ImpossibleEventError(f"{turn.session.name} has begun no epoch {event.epoch}: {event}")
    if isinstance(event, ProgramExited | StartFailed):
        turn.acknowledge(event.seq)


# ---- cells that are no step


def _ignore(_turn: Turn, _event: object) -> None:
    pass


def _acknowledge(turn: Turn, event: ProgramExited | StartFailed) -> None:
    turn.acknowledge(event.seq)


def _impossible(turn: Turn, event: object) -> None:
    raise ImpossibleEventError(f"{turn.session.name} is {turn.session.state}: {event}")


def _refuse(words: str) -> Cell[Any]:
    def refuse(_turn: Turn, _event: object) -> None:
        raise RefusedError(words)

    return refuse


def _once_due(cell: Cell[DeadlinePassed]) -> Cell[DeadlinePassed]:
    """An event of the same moment may have moved or taken the deadline."""

    def when_due(turn: Turn, event: DeadlinePassed) -> None:
        deadline = turn.session.deadline
        if deadline is not None and turn.now_s >= deadline.at_s:
            cell(turn, event)

    return when_due


def _row(
    *,
    stopped: Cell[E],
    starting: Cell[E],
    running: Cell[E],
    backoff: Cell[E],
    stopping: Cell[E],
    exited: Cell[E],
    fatal: Cell[E],
    unknown: Cell[E],
) -> Row:
    return {
        SessionState.STOPPED: stopped,
        SessionState.STARTING: starting,
        SessionState.RUNNING: running,
        SessionState.BACKOFF: backoff,
        SessionState.STOPPING: stopping,
        SessionState.EXITED: exited,
        SessionState.FATAL: fatal,
        SessionState.UNKNOWN: unknown,
    }


def _in_every_state(cell: Cell[E]) -> Row:
    return dict.fromkeys(SessionState, cell)


_ALREADY_STARTED: Final = _refuse("already started")
_NOT_KNOWN: Final = _refuse("it is not known whether it runs")

TABLE: Final[Mapping[type[Event], Row]] = {
    StartRequested: _row(
        stopped=start,
        starting=_ALREADY_STARTED,
        running=_ALREADY_STARTED,
        backoff=start,
        stopping=start_when_ended,
        exited=start,
        fatal=start,
        unknown=_NOT_KNOWN,
    ),
    StopRequested: _row(
        stopped=stay_down,
        starting=stop,
        running=stop,
        backoff=stop,
        stopping=stop_after_all,
        exited=stay_down,
        fatal=stay_down,
        unknown=stop_before_sight,
    ),
    RestartRequested: _row(
        stopped=start,
        starting=restart,
        running=restart,
        backoff=start,
        stopping=start_when_ended,
        exited=start,
        fatal=start,
        unknown=_NOT_KNOWN,
    ),
    Removed: _row(
        stopped=remove_when_ended,
        starting=stop_and_remove,
        running=stop_and_remove,
        backoff=stop_and_remove,
        stopping=remove_when_ended,
        exited=remove_when_ended,
        fatal=remove_when_ended,
        unknown=remove_when_ended,
    ),
    SpecChanged: _in_every_state(change_rules),
    Condemned: _row(
        stopped=_ignore,
        starting=condemn,
        running=condemn,
        backoff=_ignore,
        stopping=_ignore,
        exited=_ignore,
        fatal=_ignore,
        unknown=_ignore,
    ),
    ProgramStarted: _row(
        stopped=_impossible,
        starting=started,
        running=_ignore,
        backoff=_impossible,
        stopping=started,
        exited=_impossible,
        fatal=_impossible,
        unknown=started,
    ),
    StartFailed: _row(
        stopped=_acknowledge,
        starting=ended,
        running=_impossible,
        backoff=_acknowledge,
        stopping=ended,
        exited=_acknowledge,
        fatal=_acknowledge,
        unknown=ended,
    ),
    ProgramExited: _row(
        stopped=_acknowledge,
        starting=ended,
        running=ended,
        backoff=_acknowledge,
        stopping=ended,
        exited=_acknowledge,
        fatal=_acknowledge,
        unknown=ended,
    ),
    OutputEnded: _in_every_state(output_ended),
    StopSignalSent: _row(
        stopped=_ignore,
        starting=_ignore,
        running=_ignore,
        backoff=_ignore,
        stopping=signal_sent,
        exited=_ignore,
        fatal=_ignore,
        unknown=_ignore,
    ),
    DeadlinePassed: _row(
        stopped=_ignore,
        starting=_once_due(start_seconds_passed),
        running=_ignore,
        backoff=_once_due(backoff_passed),
        stopping=_once_due(stop_timeout_passed),
        exited=_ignore,
        fatal=_ignore,
        unknown=_ignore,
    ),
    Adopted: _in_every_state(adopt),
    SightLost: _row(
        stopped=_ignore,
        starting=lose_sight,
        running=lose_sight,
        backoff=_ignore,
        stopping=lose_sight,
        exited=_ignore,
        fatal=_ignore,
        unknown=_ignore,
    ),
}
