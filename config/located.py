"""TOML values that know where they were written.

A session is merged from defaults, templates and its own table, possibly from several files. When a value turns
out to be wrong, the line to show is the one where that value stands, wherever it was inherited to; and a relative path
is relative to the file that says it. So the parser works on a tree of `Node`s, and each carries its `Place`.

Lines are looked up only when a problem is printed: a file without problems is never scanned twice.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from msgspec import Struct

from config.toml_lines import KeyPath, line_map

type_names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
MAX_DEPTH = 32
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Source:
    """One file's text: `name` as shown to the user, `path` absolute."""

    def __init__(self, name: str, path: str, text: str) -> None:
        self.name = name
        self.path = path
        self.directory = posixpath.dirname(path)
        self.text = text

    @cached_property
    def _lines(self) -> Mapping[KeyPath, int]:
        return line_map(self.text)

    def line_of(self, path: KeyPath) -> int:
        while path not in self._lines and path:
            path = path[:-1]
        return self._lines.get(path, 1)


class Place(Struct, frozen=True, eq=False):
    source: Source
    path: KeyPath

    @property
    def line(self) -> int:
        return self.source.line_of(self.path)

    @property
    def key(self) -> str:
        return spell(self.path)

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}"


class Node(Struct, frozen=True, eq=False):
    value: object  # a scalar, list[Node] or dict[str, Node]
    place: Place

    @property
    def table(self) -> Mapping[str, "Node"]:
        """The keys of a table; of anything else none."""
        return self.value if isinstance(self.value, dict) else {}

    def at(self, *keys: str) -> Place:
        """Where a key below this one stands, or as much of its path as was written."""
        node = self
        for key in keys:
            if key not in node.table:
                break
            node = node.table[key]
        return node.place

    @property
    def type_name(self) -> str:
        return type_names.get(type(self.value), "a date")


class TooDeepError(Exception):
    def __init__(self, place: Place) -> None:
        self.place = place
        super().__init__(f"is nested more than {MAX_DEPTH} deep")


def locate(value: object, source: Source, path: KeyPath = ()) -> Node:
    """The tree of nodes for what tomllib read from `source`."""
    place = Place(source, path)
    if len(path) > MAX_DEPTH:
        raise TooDeepError(Place(source, path[:1]))
    match value:
        case dict():
            return Node({key: locate(item, source, (*path, key)) for key, item in value.items()}, place)
        case list():
            return Node([locate(item, source, (*path, i)) for i, item in enumerate(value)], place)
        case _:
            return Node(value, place)


def spell(path: KeyPath) -> str:
    return "".join(_spell_parts(path)).removeprefix(".")


def _spell_parts(path: KeyPath) -> Iterator[str]:
    for part in path:
        if isinstance(part, int):
            yield f"[{part}]"
        else:
            yield "." + (part if _BARE_KEY.fullmatch(part) else f'"{part}"')
