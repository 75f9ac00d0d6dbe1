"""Why a session is where it is: what happened, by which rule, and what it waits for now, in short sentences."""

from collections.abc import Iterable, Iterator
from typing import assert_never

from msgspec import Struct

from supervisor.lifecycle.effects import Announce
from supervisor.lifecycle.events import Adopted, OutputEnded, ProgramStarted, SpecChanged
from supervisor.lifecycle.journal import Decision
from supervisor.lifecycle.reasons import in_words
from supervisor.lifecycle.session import Deadline, Run, Session
from supervisor.lifecycle.states import Desired, Output, Program, SessionState


class Explained(Struct, frozen=True):
    wall_s: float | None  # None: now
    text: str


def explain(session: Session, decisions: Iterable[Decision], now_s: float) -> list[Explained]:
    past = [Explained(decision.wall_s, text) for decision in decisions for text in _told(decision)]
    return [*past, Explained(None, f"{session.state}: {waits_for(session, now_s)}")]


def _told(decision: Decision) -> Iterator[str]:
    match decision.event:
        case ProgramStarted(epoch=epoch, pid=pid):
            yield f"epoch {epoch} runs as pid {pid}"
        case OutputEnded(epoch=epoch):
            yield f"the output of epoch {epoch} has ended"
        case SpecChanged(by=by):
            yield f"new rules by {by}"
        case Adopted():
            yield "a new supervisor found it"
    for effect in decision.effects:
        if isinstance(effect, Announce):
            yield effect.why if effect.was is effect.state else f"{effect.was} -> {effect.state}: {effect.why}"


def waits_for(session: Session, now_s: float) -> str:
    """What a start, a stop or a wait hangs on."""
    match session.state:
        case SessionState.STOPPED:
            return in_words(session.exit) if session.exit else "not started"
        case SessionState.EXITED | SessionState.FATAL:
            return in_words(session.exit) if session.exit else "nobody saw how it ended"
        case SessionState.RUNNING:
            return f"as pid {session.pid}"
        case SessionState.UNKNOWN:
            return "until the keeper tells what runs"
        case SessionState.STARTING:
            return _start_waits_for(session, now_s)
        case SessionState.BACKOFF:
            return f"starts again {_due(session.deadline, now_s)}{_output_first(session)}"
        case SessionState.STOPPING:
            return _stop_waits_for(session, now_s)
        case _:
            assert_never(session.state)


def _start_waits_for(session: Session, now_s: float) -> str:
    run = session.run
    if run is None or run.program is Program.GONE:
        return f"until the output of epoch {session.epoch} has ended: its worker has not written all of it to the ring"
    if run.program is Program.ASKED:
        return f"for {now_s - run.begun_s:.3g} s the keeper has been starting epoch {run.epoch}"
    return f"as pid {run.pid}, RUNNING {_due(session.deadline, now_s)}"


def _stop_waits_for(session: Session, now_s: float) -> str:
    run = session.run
    if run is None:
        return "for nothing"
    return f"{_pressure(session, run, now_s)}; {_what_follows(session)}"


def _pressure(session: Session, run: Run, now_s: float) -> str:
    due = _due(session.deadline, now_s)
    if run.kills:
        return f"killed {_times(run.kills)} and not gone, perhaps in the kernel (D state); killed again {due}"
    if run.program is Program.ASKED:
        return f"its program is not running yet and gets the stop signal then; killed {due}"
    return f"pid {run.pid} has got signal {session.rules.stop.signal}; killed {due}"


def _what_follows(session: Session) -> str:
    if session.is_leaving:
        return "then it is removed"
    if session.desired is Desired.DOWN:
        return "then it stays STOPPED"
    return "then it is started again" if session.start_when_ended else "then its restart rules decide"


def _output_first(session: Session) -> str:
    run = session.run
    return f", once the output of epoch {run.epoch} has ended" if run and run.output is Output.FLOWING else ""


def _due(deadline: Deadline | None, now_s: float) -> str:
    return f"in {max(0.0, deadline.at_s - now_s):.3g} s" if deadline else "at once"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
