"""New rules for a session that goes on under them: all of them hold at once, also for the deadline that is set."""

from supervisor.lifecycle.events import SpecChanged
from supervisor.lifecycle.rules import Rules
from supervisor.lifecycle.session import Deadline, DeadlineKind
from supervisor.lifecycle.turn import Turn


def change_rules(turn: Turn, event: SpecChanged) -> None:
    old = turn.session.rules
    turn.change(rules=event.rules, is_leaving=False)
    if turn.session.deadline is not None:
        turn.change(deadline=_moved(turn.session.deadline, old, event.rules, turn.now_s))


def _moved(deadline: Deadline, old: Rules, new: Rules, now_s: float) -> Deadline:
    at_s = deadline.at_s
    match deadline.kind:
        case DeadlineKind.START_SECONDS:
            at_s += new.start_seconds - old.start_seconds
        case DeadlineKind.STOP_TIMEOUT:
            at_s += new.stop.timeout_s - old.stop.timeout_s
        case DeadlineKind.BACKOFF:
            at_s = min(at_s, now_s + new.restart.max_delay_s)
        case DeadlineKind.KILL_AGAIN:
            pass
    return Deadline(deadline.kind, at_s)
