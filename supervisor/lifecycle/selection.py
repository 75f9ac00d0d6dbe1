"""Which sessions a command means.

    web-0          by name            web:web-0   group and name          all
    web-*  *       glob of names      web:*       glob within a group
    state=FATAL,EXITED   tag=web   group=web      narrow what the others select; alone, they narrow all

Names add up, in the order they are asked for; conditions narrow, and several of one kind add up. A glob that matches
nothing, like a name that is not there, is an error that names it: a script must not take it for done.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

from config.model import SessionSpec
from supervisor.lifecycle.states import SessionState

NO_PROCESS: Final = "no such process"
NO_GROUP: Final = "no such group"
_GLOB_CHARACTERS: Final = frozenset("*?[")


class Selectable(Struct, frozen=True):
    spec: SessionSpec
    state: SessionState


class NotFound(Struct, frozen=True):
    selector: str
    why: str


class Selection(Struct, frozen=True):
    names: tuple[str, ...]  # as they were asked for; of one selector, in start order
    not_found: tuple[NotFound, ...] = ()


_CONDITIONS: Final[Mapping[str, Callable[[Selectable, frozenset[str]], bool]]] = {
    "state": lambda one, values: one.state.lower() in {value.lower() for value in values},
    "tag": lambda one, values: not values.isdisjoint(one.spec.tags),
    "group": lambda one, values: one.spec.group in values,
}


def select(selectors: Iterable[str], sessions: Sequence[Selectable]) -> Selection:
    """Of `sessions`, which come in start order."""
    namings, conditions = _told_apart(selectors)
    found: dict[str, Selectable] = {}
    not_found: list[NotFound] = []
    for selector in namings or ["all"]:
        matching = list(_named(selector, sessions))
        if not matching and selector not in ("all", "*"):
            not_found.append(NotFound(selector, _why_nothing(selector, sessions)))
        found.update((one.spec.name, one) for one in matching)
    kept = (one for one in found.values() if _meets(one, conditions))
    return Selection(tuple(one.spec.name for one in kept), tuple(not_found))


def _told_apart(selectors: Iterable[str]) -> tuple[list[str], dict[str, set[str]]]:
    namings: list[str] = []
    conditions: dict[str, set[str]] = {}
    for selector in selectors:
        key, equals, values = selector.partition("=")
        if equals and key in _CONDITIONS:
            conditions.setdefault(key, set()).update(values.split(","))
        else:
            namings.append(selector)
    return namings, conditions


def _named(selector: str, sessions: Iterable[Selectable]) -> Iterator[Selectable]:
    group, colon, name = selector.rpartition(":")
    pattern = "*" if selector == "all" else name
    for one in sessions:
        if (not colon or one.spec.group == group) and _matches(one.spec.name, pattern):
            yield one


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) if _GLOB_CHARACTERS.intersection(pattern) else name == pattern


def _meets(one: Selectable, conditions: Mapping[str, set[str]]) -> bool:
    return all(_CONDITIONS[key](one, frozenset(values)) for key, values in conditions.items())


def _why_nothing(selector: str, sessions: Iterable[Selectable]) -> str:
    group, colon, _ = selector.rpartition(":")
    return NO_GROUP if colon and all(one.spec.group != group for one in sessions) else NO_PROCESS
