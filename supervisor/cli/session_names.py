"""How sessions are called: as they are shown, as they may be written, and how the shell completes them. Pure."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Protocol


class Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...


class Tagged(Named, Protocol):
    @property
    def tags(self) -> Iterable[str]: ...


def shown_name(session: Named) -> str:
    return session.name if session.group in {"", session.name} else f"{session.group}:{session.name}"


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


def fits(session: Tagged, selector: str) -> bool:
    """Where no daemon can be asked. `state=` is not for a file to say: it fits nothing."""
    if selector == "all":
        return True
    if selector.startswith("tag="):
        return any(fnmatchcase(tag, selector[4:]) for tag in session.tags)
    group, colon, name = selector.rpartition(":")
    if not colon:
        return fnmatchcase(session.name, name)
    return fnmatchcase(session.group, group) and fnmatchcase(session.name, name or "*")
