"""What every command is given: which fleet is meant, and a line to its ringvisord.

A supervisor that is started again between two answers is nobody's business: a question is asked once more then. An
order is not, since nobody knows how far the first one came.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import click

from childproc.worker_record import living, living_keeper
from supervisor.cli.exit_words import exit_words
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.places import FleetPlace, Wanted, find_place
from supervisor.cli.session_names import bare_name
from supervisor.control.client import (
    ControlClient,
    NoAnswerInTimeError,
    NobodyAnswersError,
    NoGreetingError,
    NotPermittedError,
    RequestFailedError,
    connect,
)
from supervisor.control.messages import Answer, EndInput, Facts, GetStatus, Inspect, Outcome, Request, StatusReport

QUESTION_MAX_S = 10.0

_A = TypeVar("_A", bound=Answer)


@dataclass
class Operator:
    wanted: Wanted

    @cached_property
    def fleet(self) -> FleetPlace:
        return find_place(self.wanted)

    def connect(self) -> ControlClient:
        try:
            return connect(self.fleet.socket)
        except NotPermittedError:
            raise
        except NobodyAnswersError as error:
            more = headless(living_keeper(self.fleet.runtime_dir), living(self.fleet.runtime_dir))
            if not more:
                raise
            raise type(error)(f"{error}: {more}") from error

    def ask(self, request: Request, kind: type[_A]) -> _A:
        """For what changes nothing and has one answer."""
        try:
            return self._ask_once(request, kind)
        except (NoAnswerInTimeError, NoGreetingError, NotPermittedError):
            raise
        except NobodyAnswersError:
            return self._ask_once(request, kind)

    def _ask_once(self, request: Request, kind: type[_A]) -> _A:
        with self.connect() as client:
            answer = client.ask(request, timeout_s=QUESTION_MAX_S)
        if isinstance(answer, kind):
            return answer
        raise NobodyAnswersError(f"{self.fleet.socket}: unexpected answer {type(answer).__name__}")

    def status(self, selectors: Sequence[str] = ()) -> StatusReport:
        return self.ask(GetStatus(1, list(selectors)), StatusReport)

    def order(self, request: Request, timeout_s: float | None) -> Iterator[Answer]:
        """Answers as they come."""
        with self.connect() as client:
            yield from client.stream(request, timeout_s=timeout_s)

    # --- for who talks to a session's worker and router himself ---

    def place(self, session: str) -> "SessionPlace":
        """Where the one session of this name is. A supervisor that is away keeps nobody from it."""
        name = bare_name(session)
        try:
            report = self.status([session])
        except NotPermittedError:
            raise
        except NobodyAnswersError:
            return SessionPlace(self.fleet.runtime_dir, self.fleet.record.ring_dir, name)
        match report.sessions:
            case [only]:
                return SessionPlace(self.fleet.runtime_dir, self.fleet.record.ring_dir, only.name)
            case []:
                raise Refusal(f"no such session: {session}; ringctl status lists them", Exit.NO_SUCH)
            case several:
                raise Refusal(f"{session} is {len(several)} sessions: name one", Exit.USAGE)

    def how_ended(self, session: str, epoch: int) -> str | None:
        """None: nobody says, or not yet."""
        try:
            found = self.status([session]).sessions
        except (NobodyAnswersError, RequestFailedError):
            return None
        ended = [one.exit for one in found if one.epoch == epoch and not one.pid]
        return exit_words(ended[0]) if ended and ended[0] else None

    def end_input(self, session: str) -> None:
        """The keeper's half of an end of file; the worker's is its client's business. A terminal has no such half."""
        with contextlib.suppress(NobodyAnswersError, RequestFailedError):
            self.ask(EndInput(1, bare_name(session)), Outcome)

    def resize_policy(self, session: str) -> str | None:
        """As its settings have it. None: nobody says, or it has no terminal."""
        try:
            facts: Any = self.ask(Inspect(1, bare_name(session)), Facts).facts
        except (NobodyAnswersError, RequestFailedError):
            return None
        for key in ("spec", "io", "tty", "resize"):
            facts = facts.get(key) if isinstance(facts, dict) else None
        return facts if isinstance(facts, str) else None


def headless(keeper_pid: int, sessions: Sequence[str]) -> str:
    """What is there of a fleet that nobody answers for; "": nothing."""
    some = f"{len(sessions)} sessions run on" if len(sessions) != 1 else "1 session runs on"
    named = f" ({', '.join(sessions[:5])}{' …' if len(sessions) > 5 else ''})" if sessions else ""
    if keeper_pid:
        why = "its supervisor is stopped, or dies at each start, as ringvisord.log says"
        return f"ringvisord is there with pid {keeper_pid}, {why}; {some} without it{named}"
    return f"no ringvisord, but {some} without it{named}; start ringvisord again" if sessions else ""


class SessionPlace(NamedTuple):
    runtime_dir: str
    ring_dir: str
    session: str


pass_operator = click.make_pass_decorator(Operator)
