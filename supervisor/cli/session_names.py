"""How sessions are called: as they are shown, as they may be written, and how the shell completes them. Pure."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar


class Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...


class Tagged(Named, Protocol):
    @property
    def tags(self) -> Iterable[str]: ...


_T = TypeVar("_T", bound=Tagged)
CONDITIONS = ("tag=", "group=")


def shown_name(session: Named) -> str:
    return session.name if session.group in {"", session.name} else f"{session.group}:{session.name}"


def bare_name(written: str) -> str:
    """Without its group."""
    return written.rpartition(":")[2]


def groups_of(sessions: Iterable[Named]) -> list[str]:
    return sorted({session.group for session in sessions})


def completions(sessions: Iterable[Named], begun: str) -> list[str]:
    """A name alone, until a colon asks for groups; the whole of a group where it has another name than its session."""
    words: set[str] = set()
    for session in sessions:
        words.add(session.name)
        if session.group != session.name:
            words.add(f"{session.group}:*")
            if ":" in begun:
                words.add(f"{session.group}:{session.name}")
    return sorted(word for word in words if word.startswith(begun))


def chosen(sessions: Sequence[_T], selectors: Iterable[str]) -> tuple[list[_T], list[str]]:
    """What the daemon would choose, for when none can be asked; and the selectors that fit nothing.

    Names add up, conditions (tag=, group=) narrow. `state=` is not for files to say.
    """
    words = list(selectors)
    conditions = [word.partition("=")[::2] for word in words if word.startswith(CONDITIONS)]
    names = [word for word in words if not word.startswith(CONDITIONS)] or ["all"]
    found: dict[str, _T] = {}
    unknown = []
    for name in names:
        fitting = [session for session in sessions if _is_named(session, name)]
        found.update((session.name, session) for session in fitting)
        if not fitting and name not in {"all", "*"}:
            unknown.append(name)
    return [session for session in found.values() if all(_meets(session, *one) for one in conditions)], unknown


def _is_named(session: Named, selector: str) -> bool:
    group, colon, name = selector.rpartition(":")
    pattern = "*" if selector == "all" or (colon and not name) else name
    return (not colon or session.group == group) and fnmatchcase(session.name, pattern)


def _meets(session: Tagged, key: str, values: str) -> bool:
    wanted = set(values.split(","))
    return session.group in wanted if key == "group" else not wanted.isdisjoint(session.tags)
