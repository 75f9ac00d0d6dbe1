"""What a journal is read for: to go on from it after a crash, and to see the machine decide the same again."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from supervisor.lifecycle.effects import Effect, Forget
from supervisor.lifecycle.errors import LifecycleError
from supervisor.lifecycle.journal import Checkpoint, Decision, Opening, Record
from supervisor.lifecycle.lifecycle import step
from supervisor.lifecycle.session import Session


class Recovered(Struct, frozen=True):
    boot_id: str  # "": no journal
    sessions: dict[str, Session]
    decisions: dict[str, list[Decision]]


def recover(records: Iterable[Record]) -> Recovered:
    """Of parts in their order. A newer one says all that counts again; where damage took it, the older one does."""
    boot_id = ""
    sessions: dict[str, Session] = {}
    decisions: dict[str, list[Decision]] = {}
    for record in records:
        match record:
            case Opening():
                boot_id = record.boot_id
                decisions = {}  # told again behind it
            case Checkpoint(session=session):
                sessions[session.name] = session
            case Decision(after=after):
                sessions[after.name] = after
                decisions.setdefault(after.name, []).append(record)
                if Forget() in record.effects:
                    del sessions[after.name], decisions[after.name]
    return Recovered(boot_id, sessions, decisions)


class Replayed(Struct, frozen=True):
    decision: Decision
    before: Session
    after: Session | None  # None: refused by the machine as it is now
    effects: tuple[Effect, ...] = ()

    @property
    def is_same(self) -> bool:
        return self.after == self.decision.after and self.effects == self.decision.effects


def replay(records: Iterable[Record]) -> Iterator[Replayed]:
    """Each decision judged by itself: from the session that the journal had before it."""
    before: dict[str, Session] = {}
    for record in records:
        match record:
            case Opening():
                before = {}
            case Checkpoint(session=session):
                before[session.name] = session
            case Decision(name=name):
                if name in before:
                    yield _decide_again(record, before[name])
                before[name] = record.after


def _decide_again(decision: Decision, before: Session) -> Replayed:
    try:
        return Replayed(decision, before, *step(before, decision.event, decision.now_s))
    except LifecycleError:
        return Replayed(decision, before, None)
