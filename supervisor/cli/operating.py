"""What every command is given: which fleet is meant, and a line to its ringvisord.

A supervisor that is started again between two answers is nobody's business: a question is asked once more then. An
order is not, since nobody knows how far the first one came.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import click

from supervisor.cli.places import FleetPlace, Wanted, find_place
from supervisor.control.client import (
    ControlClient,
    NoAnswerInTimeError,
    NobodyAnswersError,
    NotPermittedError,
    connect,
)
from supervisor.control.messages import Answer, GetStatus, Request, StatusReport

QUESTION_MAX_S = 10.0

_A = TypeVar("_A", bound=Answer)


@dataclass
class Operator:
    wanted: Wanted

    @cached_property
    def place(self) -> FleetPlace:
        return find_place(self.wanted)

    def connect(self) -> ControlClient:
        return connect(self.place.socket)

    def ask(self, request: Request, kind: type[_A]) -> _A:
        """For what changes nothing and has one answer."""
        try:
            return self._ask_once(request, kind)
        except (NoAnswerInTimeError, NotPermittedError):
            raise
        except NobodyAnswersError:
            return self._ask_once(request, kind)

    def _ask_once(self, request: Request, kind: type[_A]) -> _A:
        with self.connect() as client:
            answer = client.ask(request, timeout_s=QUESTION_MAX_S)
        if isinstance(answer, kind):
            return answer
        raise NobodyAnswersError(f"{self.place.socket}: unexpected answer {type(answer).__name__}")

    def status(self, selectors: Sequence[str] = ()) -> StatusReport:
        return self.ask(GetStatus(1, list(selectors)), StatusReport)

    def order(self, request: Request, timeout_s: float | None) -> Iterator[Answer]:
        """Answers as they come."""
        with self.connect() as client:
            yield from client.stream(request, timeout_s=timeout_s)


pass_operator = click.make_pass_decorator(Operator)
