"""All sessions by name, with their specs. It holds and finds; what happens to a session, `step` alone decides.

No session knows of another here: a command on one never waits for another's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from config.diff import Plan, SessionChange
from config.model import Fleet, SessionSpec
from config.tables import Applied
from supervisor.lifecycle.deadlines import Deadlines
from supervisor.lifecycle.effects import Effect, Forget
from supervisor.lifecycle.events import Event, Removed, RestartRequested, SpecChanged, StartRequested
from supervisor.lifecycle.lifecycle import step
from supervisor.lifecycle.rules import rules_of
from supervisor.lifecycle.selection import Selectable, Selection, select
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import Desired, SessionState

Planned = tuple[str, Event]
AUTOSTART = "autostart"
UPDATE = "update"
_LEFT_ALONE = (SessionState.STOPPED, SessionState.EXITED)


class Registry:
    """`past_epoch` tells of a session that is new how many epochs its log has seen: it goes on counting from there."""

    def __init__(self, past_epoch: Callable[[SessionSpec], int] = lambda _spec: 0) -> None:
        self._past_epoch = past_epoch
        self._left_at: dict[str, int] = {}  # epochs of those that went: their last one may not be in the log yet
        self._sessions: dict[str, Session] = {}
        self._specs: dict[str, SessionSpec] = {}
        self._deadlines = Deadlines()

    @property
    def sessions(self) -> Mapping[str, Session]:
        return self._sessions

    @property
    def specs(self) -> Mapping[str, SessionSpec]:
        return self._specs

    def step(self, name: str, event: Event, now_s: float) -> tuple[Session, tuple[Effect, ...]]:
        """Raises what the machine raises; then nothing has changed. After a Forget the session is gone."""
        session, effects = step(self._sessions[name], event, now_s)
        self._put(session)
        if Forget() in effects:
            self._drop(name)
        return session, effects

    # ---- what is in the fleet

    def restore(self, session: Session, spec: SessionSpec) -> None:
        """As the journal has it."""
        self._specs[spec.name] = spec
        self._put(session)

    def apply(self, fleet: Fleet, plan: Plan) -> tuple[Planned, ...]:
        """Takes the specs of the fleet over; returns what has to happen to the sessions, in that order."""
        removed = [(name, Removed(UPDATE)) for name in self.stop_order(plan.removed) if name in self._sessions]
        for name in fleet.sessions:
            self._specs[name] = fleet.sessions[name]
        changed = [planned for change in plan.changed for planned in self._change(change)]
        added = [planned for name in self.start_order(plan.added) for planned in self._add(name)]
        return (*removed, *changed, *added)

    def _change(self, change: SessionChange) -> Iterator[Planned]:
        """One that ended as it should, or was stopped, gets the new command when somebody starts it."""
        session = self._sessions.get(change.name)
        if session is None:  # what the journal said of it was lost
            yield from self._add(change.name)
            return
        yield from self._changed_rules(session)
        is_up = session.desired is Desired.UP and session.state not in _LEFT_ALONE
        if change.applied is Applied.RESTART and is_up:
            yield change.name, RestartRequested(UPDATE)

    def _add(self, name: str) -> Iterator[Planned]:
        spec = self._specs[name]
        if name in self._sessions:  # removed a moment ago, and not gone yet
            yield name, SpecChanged(rules_of(spec))
        else:
            self._put(Session(name, rules_of(spec), epoch=self.past_epoch(spec)))
        if spec.autostart:
            yield name, StartRequested(AUTOSTART)

    def _changed_rules(self, session: Session) -> Iterator[Planned]:
        rules = rules_of(self._specs[session.name])
        if rules != session.rules:
            yield session.name, SpecChanged(rules)

    def _put(self, session: Session) -> None:
        self._sessions[session.name] = session
        self._deadlines.set(session.name, session.deadline.at_s if session.deadline else None)

    def past_epoch(self, spec: SessionSpec) -> int:
        return max(self._left_at.get(spec.name, 0), self._past_epoch(spec))

    def _drop(self, name: str) -> None:
        self._left_at[name] = self._sessions[name].epoch
        del self._sessions[name], self._specs[name]
        self._deadlines.set(name, None)

    # ---- time

    def next_deadline_s(self) -> float | None:
        return self._deadlines.next_s()

    def due(self, now_s: float) -> tuple[str, ...]:
        return self._deadlines.due(now_s)

    # ---- finding

    def select(self, selectors: Iterable[str]) -> Selection:
        ordered = self.start_order(self._sessions)
        return select(selectors, [Selectable(self._specs[name], self._sessions[name].state) for name in ordered])

    def start_order(self, names: Iterable[str]) -> tuple[str, ...]:
        """Lower priority first; web-2 before web-10."""
        return tuple(sorted(names, key=self._rank))

    def stop_order(self, names: Iterable[str]) -> tuple[str, ...]:
        return self.start_order(names)[::-1]

    def _rank(self, name: str) -> tuple[int, str, str, int, str]:
        spec = self._specs[name]
        return spec.priority, spec.group, spec.table, spec.number, name
