"""The table of keys: every option of the fleet file is spelled once, where the model declares the field that holds it.

    timeout_s: Annotated[float, Key(duration(), LIVE, "then the whole tree is killed")] = 10.0

From this line come the key's name (`timeout`: the field less its unit), how its value is read, its default, its line
of documentation, the JSON Schema, and how `update` applies a change of it. A field without a `Key` is not the user's
to write.
"""

import enum
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Final, cast, get_args, get_origin

from msgspec import NODEFAULT, Struct, structs

from config.kinds import INVALID, TEXT, Invalid, Kind, OrFalse, Schema, Scope
from config.located import Node
from config.suggest import suggest
from config.units import shown

_UNIT_SUFFIXES: Final = ("_s", "_bytes", "_percent")


class Applied(enum.StrEnum):
    """When a changed key takes effect: at once, when its session starts next, or by a restart that `update` makes."""

    LIVE = "live"
    NEXT_START = "next_start"
    RESTART = "restart"


class Key(Struct, frozen=True, eq=False):
    kind: Kind
    applied: Applied
    doc: str


class KeyField(Struct, frozen=True, eq=False):
    """One key of a table, and the field of the model that it fills."""

    name: str
    attribute: str
    kind: Kind
    applied: Applied
    doc: str
    default: object
    is_required: bool


@cache
def keys_of(spec: type[Struct]) -> Mapping[str, KeyField]:
    fields = (_key_field(field) for field in structs.fields(spec))
    return {field.name: field for field in fields if field is not None}


def _key_field(field: structs.FieldInfo) -> KeyField | None:
    if get_origin(field.type) is not Annotated:
        return None
    key = next(extra for extra in get_args(field.type) if isinstance(extra, Key))
    default = field.default
    if default is NODEFAULT and field.default_factory is not NODEFAULT:
        default = field.default_factory()
    return KeyField(_key_name(field.name), field.name, key.kind, key.applied, key.doc, default, field.required)


def _key_name(attribute: str) -> str:
    suffix = next((suffix for suffix in _UNIT_SUFFIXES if attribute.endswith(suffix)), "")
    return attribute.removesuffix(suffix)


def read_keys(spec: type[Struct], node: Node, scope: Scope) -> dict[str, Any] | Invalid:
    """Arguments for `spec` from the keys of `node`. A wrong value leaves its default, a required one means INVALID."""
    values: dict[str, Any] = {}
    complete = True
    for name, field in keys_of(spec).items():
        if name in node.table:
            value = field.kind.read(node.table[name], scope)
            if value is not INVALID:
                values[field.attribute] = value
            elif field.is_required:
                complete = False
        elif field.is_required and not scope.is_sparse:
            scope.report.error(node.place, f'lacks "{name}"')
            complete = False
    return values if complete else INVALID


def refuse_unknown(node: Node, known: Iterable[str], scope: Scope) -> None:
    known = tuple(known)
    for name, item in node.table.items():
        if name not in known:
            scope.report.error(item.place, "is no key that ringvisor knows", suggest(name, known))


class Table(Struct, frozen=True, eq=False):
    """A nested table that becomes `spec`; a value that is no table is short for its key `shorthand`."""

    spec: type[Struct]
    shorthand: str = ""

    def unfolded(self, node: Node) -> Node:
        is_short = self.shorthand and not isinstance(node.value, dict | bool)
        return Node({self.shorthand: node}, node.place) if is_short else node

    def read(self, node: Node, scope: Scope) -> object:
        node = self.unfolded(node)
        if not isinstance(node.value, dict):
            return scope.wrong(node, f"is {node.type_name}, where a table belongs")
        refuse_unknown(node, keys_of(self.spec), scope)
        values = read_keys(self.spec, node, scope)
        if values is INVALID or (scope.is_sparse and _lacks(self.spec, values)):
            return INVALID
        return self.spec(**values)

    def schema(self) -> Schema:
        table = table_schema(self.spec)
        if not self.shorthand:
            return table
        return {"anyOf": [keys_of(self.spec)[self.shorthand].kind.schema(), table]}


def unfolded(node: Node, keys: Mapping[str, KeyField]) -> Node:
    """With the tables that shorthands stand for: what merges key by key must have its keys, however it was written."""
    return Node({name: _unfolded(item, keys.get(name)) for name, item in node.table.items()}, node.place)


def _unfolded(node: Node, key: KeyField | None) -> Node:
    kind = key.kind if key is not None else None
    kind = kind.kind if isinstance(kind, OrFalse) else kind
    return kind.unfolded(node) if isinstance(kind, Table) else node


def _lacks(spec: type[Struct], values: Mapping[str, Any]) -> bool:
    return any(field.is_required and field.attribute not in values for field in keys_of(spec).values())


class Tagged(Struct, frozen=True, eq=False):
    """A table whose key `type` says which of several it is."""

    specs: tuple[type[Struct], ...]

    def read(self, node: Node, scope: Scope) -> object:
        if not isinstance(node.value, dict):
            return scope.wrong(node, f"is {node.type_name}, where a table belongs")
        if "type" not in node.table:
            return scope.wrong(node, f'lacks "type": one of {", ".join(self._by_tag())}')
        tag = TEXT.read(node.table["type"], scope)
        if not isinstance(tag, str):
            return INVALID
        spec = self._by_tag().get(tag)
        if spec is None:
            among = ", ".join(f'"{name}"' for name in self._by_tag())
            wrong = f"{shown(tag)} is none of {among}"
            return scope.wrong(node.table["type"], wrong, suggest(tag, self._by_tag()))
        rest = Node({key: item for key, item in node.table.items() if key != "type"}, node.place)
        return Table(spec).read(rest, scope)

    def _by_tag(self) -> dict[str, type[Struct]]:
        return {cast("str", spec.__struct_config__.tag): spec for spec in self.specs}

    def schema(self) -> Schema:
        return {"oneOf": [_tagged_schema(tag, spec) for tag, spec in self._by_tag().items()]}


def table_schema(spec: type[Struct]) -> Schema:
    keys = keys_of(spec).values()
    required = [key.name for key in keys if key.is_required]
    shape: Schema = {"type": "object", "properties": properties(keys), "additionalProperties": False}
    return shape | ({"required": required} if required else {})


def properties(keys: Iterable[KeyField]) -> Schema:
    return {key.name: key_schema(key) for key in keys}


def key_schema(key: KeyField) -> Schema:
    shape = {"description": f"{key.doc} (applied: {key.applied})", "x-applied": key.applied.value, **key.kind.schema()}
    if isinstance(key.default, str | int | float):
        shape["default"] = key.default
    return shape


def _tagged_schema(tag: str, spec: type[Struct]) -> Schema:
    shape = table_schema(spec)
    shape["properties"]["type"] = {"const": tag}
    shape["required"] = ["type", *shape.get("required", [])]
    return shape
