"""Collects what is wrong while a fleet is read, and the claims that only the file system can answer.

A template is read once for each of its instances: the same value at the same place is complained about once.
"""

import enum

from msgspec import Struct

from config.errors import Problem
from config.located import Place


class ClaimKind(enum.Enum):
    ENV_FILE = enum.auto()  # exists and parses
    SECRET_FILE = enum.auto()  # exists, and nobody else can write it
    USER = enum.auto()  # is known to this machine


class Claim(Struct, frozen=True, eq=False):
    """Something the pure parser takes for true and the loader looks up."""

    kind: ClaimKind
    subject: str
    place: Place


class Report:
    def __init__(self) -> None:
        self._errors: dict[Problem, None] = {}
        self._warnings: dict[Problem, None] = {}
        self._claims: dict[tuple[ClaimKind, str], Claim] = {}
        self._wrong_values: set[tuple[str, tuple[str | int, ...]]] = set()

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(sorted(self._errors, key=lambda problem: (problem.file, problem.line)))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(self._warnings)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Those of values that are not wrong already."""
        wrong = {(problem.file, problem.key) for problem in self._errors}
        claims = self._claims.values()
        return tuple(claim for claim in claims if (claim.place.source.name, claim.place.key) not in wrong)

    def error(self, place: Place, message: str, suggestion: str = "") -> None:
        self._errors[_problem(place, message, suggestion)] = None

    def file_error(self, problem: Problem) -> None:
        self._errors[problem] = None

    def wrong_value(self, place: Place, message: str, suggestion: str = "") -> None:
        """As `error`, once a place: instances would differ only in the name that was put into the text."""
        spot = (place.source.name, place.path)
        if spot not in self._wrong_values:
            self._wrong_values.add(spot)
            self.error(place, message, suggestion)

    def warn(self, place: Place, message: str, suggestion: str = "") -> None:
        self._warnings[_problem(place, message, suggestion)] = None

    def claim(self, kind: ClaimKind, subject: str, place: Place) -> None:
        self._claims.setdefault((kind, subject), Claim(kind, subject, place))


def _problem(place: Place, message: str, suggestion: str) -> Problem:
    return Problem(place.source.name, place.line, place.key, message, suggestion)
