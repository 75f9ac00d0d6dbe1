"""Kinds of values: how one is read, and how JSON Schema says the same.

A kind turns a `Node` into the plain value that the model holds, or records what is wrong and returns INVALID: the
reader then goes on, so that everything that is wrong is found in one pass. `Scope` is what a value is read in: the
names that {…} stands for, the environment, and the report.
"""

import enum
import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from msgspec import Struct

from config.expand import expand, expand_names
from config.located import Node, type_names
from config.report import ClaimKind, Report
from config.suggest import suggest
from config.units import shown

Schema = dict[str, Any]


class Invalid(enum.Enum):
    INVALID = enum.auto()


INVALID: Final = Invalid.INVALID


class Scope(Struct, frozen=True, eq=False):
    names: Mapping[str, str]
    env: Mapping[str, str]
    home: str
    report: Report
    is_sparse: bool = False  # a template: what it lacks, a session may bring

    def expanded(self, node: Node) -> object:
        """The plain value of a scalar; raises ValueError."""
        if not isinstance(node.value, str):
            return node.value
        return without_nul(expand(node.value, self.names_at(node), self.env))

    def names_at(self, node: Node) -> Mapping[str, str]:
        """{here} is the directory of the file that says it."""
        return {**self.names, "here": node.place.source.directory}

    def wrong(self, node: Node, message: str, suggestion: str = "") -> Invalid:
        self.report.wrong_value(node.place, message, suggestion)
        return INVALID


class Kind(Protocol):
    def read(self, node: Node, scope: Scope) -> object: ...

    def schema(self) -> Schema: ...


def without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character, which no program can be given")
    return text


def read_all(items: Mapping[str, Node], kind: Kind, scope: Scope) -> dict[str, Any] | Invalid:
    values = {key: kind.read(item, scope) for key, item in items.items()}
    return INVALID if INVALID in values.values() else values


class Scalar(Struct, frozen=True, eq=False):
    """One value: `convert` raises ValueError with the sentence to show."""

    convert: Callable[[object], object]
    shape: Schema

    def read(self, node: Node, scope: Scope) -> object:
        if isinstance(node.value, list | dict):
            return scope.wrong(node, f"is {node.type_name}, where one value belongs")
        try:
            return self.convert(scope.expanded(node))
        except ValueError as wrong:
            return scope.wrong(node, str(wrong))

    def schema(self) -> Schema:
        return self.shape


class Choice(Struct, frozen=True, eq=False):
    """A closed set."""

    options: type[enum.StrEnum]

    def read(self, node: Node, scope: Scope) -> object:
        text = TEXT.read(node, scope)
        if not isinstance(text, str):
            return INVALID
        if text in set(self.options):
            return self.options(text)
        among = ", ".join(f'"{option}"' for option in self.options)
        return scope.wrong(node, f"{shown(text)} is none of {among}", suggest(text, self.options))

    def schema(self) -> Schema:
        return {"enum": [option.value for option in self.options]}


class ListOf(Struct, frozen=True, eq=False):
    """An array; a lone value stands for an array of one."""

    item: Kind

    def read(self, node: Node, scope: Scope) -> object:
        items = node.value if isinstance(node.value, list) else [node]
        values = tuple(self.item.read(item, scope) for item in items)
        return INVALID if INVALID in values else values

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "array", "items": self.item.schema()}, self.item.schema()]}


class MapOf(Struct, frozen=True, eq=False):
    """A table whose keys the user chooses."""

    item: Kind
    key_pattern: str = ".*"
    key_is: str = ""

    def read(self, node: Node, scope: Scope) -> object:
        if not isinstance(node.value, dict):
            return scope.wrong(node, f"is {node.type_name}, where a table belongs")
        for key, item in node.table.items():
            if not re.fullmatch(self.key_pattern, key):
                scope.wrong(item, f"{shown(key)} is no {self.key_is}")
        return read_all(node.table, self.item, scope)

    def schema(self) -> Schema:
        names = {"propertyNames": {"pattern": f"^(?:{self.key_pattern})$"}} if self.key_is else {}
        return {"type": "object", "additionalProperties": self.item.schema()} | names


class OrFalse(Struct, frozen=True, eq=False):
    """`false` says: none of it."""

    kind: Kind

    def read(self, node: Node, scope: Scope) -> object:
        return None if node.value is False else self.kind.read(node, scope)

    def schema(self) -> Schema:
        return {"anyOf": [{"const": False}, self.kind.schema()]}


class Command(Struct, frozen=True, eq=False):
    """A list is executed as it stands, a text is split as a shell would; no shell runs.

    The text is split before names are replaced: a directory with a blank in it stays one word.
    """

    def read(self, node: Node, scope: Scope) -> object:
        names = scope.names_at(node)
        try:
            words = tuple(without_nul(expand_names(word, names)) for word in _words(node))
        except ValueError as wrong:
            return scope.wrong(node, str(wrong))
        if not words or not words[0]:
            return scope.wrong(node, "names no program")
        if "-c" not in words and any("${" in word for word in words):
            scope.report.warn(node.place, 'holds "${", which stays as it is: no shell runs (sh -c "…" is one)')
        return words

    def schema(self) -> Schema:
        words = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"anyOf": [words, {"type": "string", "minLength": 1}]}


def _words(node: Node) -> list[str]:
    match node.value:
        case str(text):
            return _split(text)
        case list(items):
            return [_text(item.value) for item in items]
    raise ValueError(f"is {node.type_name}, where a list of words or a text belongs")


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as wrong:
        raise ValueError(f"cannot be split into words: {str(wrong).lower()}") from wrong


class Claimed(Struct, frozen=True, eq=False):
    """A text that says something about this machine, to be looked up by who may open files."""

    kind: Kind
    claim: ClaimKind

    def read(self, node: Node, scope: Scope) -> object:
        subject = self.kind.read(node, scope)
        if isinstance(subject, str) and not scope.is_sparse:
            scope.report.claim(self.claim, subject, node.place)
        return subject

    def schema(self) -> Schema:
        return self.kind.schema()


class Path(Struct, frozen=True, eq=False):
    """Made absolute: `~/` is the home of who runs ringvisord, a relative path is relative to the file that says it."""

    def read(self, node: Node, scope: Scope) -> object:
        text = TEXT.read(node, scope)
        if not isinstance(text, str):
            return INVALID
        if not text:
            return scope.wrong(node, "is empty, where a path belongs")
        return absolute(text, node.place.source.directory, scope.home)

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1}


def absolute(path: str, directory: str, home: str) -> str:
    if path == "~" or path.startswith("~/"):
        path = posixpath.join(home, path[2:])
    return posixpath.normpath(posixpath.join(directory, path))


def _text(raw: object) -> str:
    if isinstance(raw, str):
        return raw
    raise ValueError(f"is {type_names.get(type(raw), 'a date')}, where text belongs: write it in quotes")


TEXT: Final = Scalar(_text, {"type": "string"})
