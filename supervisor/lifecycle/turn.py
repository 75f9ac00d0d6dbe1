"""One step under way: the cells of the table say what changes and what is to be done, in the order they say it."""

from typing import Final

from msgspec import structs

from supervisor.lifecycle.effects import Acknowledge, Announce, Effect, Forget
from supervisor.lifecycle.errors import ImpossibleEventError, RefusedError
from supervisor.lifecycle.session import Deadline, Run, Session
from supervisor.lifecycle.states import Desired, SessionState

_ENDED: Final = (SessionState.STOPPED, SessionState.EXITED, SessionState.BACKOFF, SessionState.FATAL)


class Turn:
    def __init__(self, session: Session, now_s: float) -> None:
        self.session = session
        self.now_s = now_s
        self.effects: list[Effect] = []

    @property
    def run(self) -> Run:
        """Where there must be one."""
        if self.session.run is None:
            raise ImpossibleEventError(f"{self.session.name} has no epoch under way in {self.session.state}")
        return self.session.run

    def do(self, effect: Effect) -> None:
        self.effects.append(effect)

    def change(self, **changes: object) -> None:
        self.session = structs.replace(self.session, **changes)

    def change_run(self, **changes: object) -> None:
        self.change(run=structs.replace(self.run, **changes))

    def move(self, state: SessionState, why: str, deadline: Deadline | None = None) -> None:
        """The deadline belongs to the state: with another state, the old one is gone."""
        was = self.session.state
        self.change(state=state, deadline=deadline, since_s=self.now_s)
        self._announce(was, why)

    def tell(self, why: str) -> None:
        self._announce(self.session.state, why)

    def want(self, desired: Desired, *, start_when_ended: bool = False) -> None:
        self.change(desired=desired, start_when_ended=start_when_ended)

    def acknowledge(self, seq: int) -> None:
        if seq:
            self.do(Acknowledge(seq))

    def settle(self) -> None:
        """An epoch of which nothing is left makes room for the next."""
        if self.session.run is not None and self.session.run.is_over:
            self.change(run=None)

    def forget_if_left(self) -> None:
        if self.session.is_leaving and self.session.run is None:
            self.do(Forget())

    def refuse_if_leaving(self) -> None:
        if self.session.is_leaving:
            raise RefusedError("being removed")

    def _announce(self, was: SessionState, why: str) -> None:
        now = self.session
        ended_pid = now.run.pid if now.run and now.state is not SessionState.STARTING else 0
        end = now.exit if now.state in _ENDED else None
        self.do(Announce(was, now.state, why, now.epoch, now.pid or ended_pid, end))
