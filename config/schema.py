"""JSON Schema (draft 2020-12) of the fleet file, from the same table of keys that the parser reads by.

It is for editors: what it accepts may still be wrong (names that refer to nothing, sizes that do not fit), what it
refuses is wrong.
Text with a `{` in it passes everywhere, since names and variables may make anything of it.
"""

from typing import Any, Final

from config.documents import TOP_LEVEL
from config.hosts import HostSpec
from config.kinds import Schema
from config.model import FleetSettings, HookSpec
from config.sessions import session_keys
from config.tables import properties, table_schema
from config.values import NAME_PATTERN

_DOCS: Final = {
    "include": "further files: paths or patterns relative to this file",
    "fleet": "the fleet itself (main file only)",
    "defaults": "keys that every session inherits (main file only)",
    "template": "keys that the sessions naming it inherit",
    "session": "the programs",
    "host": "places reached by SSH",
    "hook": "commands that checks and events run",
    "profile": "ways to read a session's output as typed messages",
}


def fleet_schema() -> dict[str, Any]:
    session = {"$ref": "#/$defs/session"}
    tables: dict[str, Schema] = {
        "include": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "fleet": table_schema(FleetSettings),
        "defaults": session,
        "template": _named(session),
        "session": _named(session),
        "host": _named(table_schema(HostSpec)),
        "hook": _named(table_schema(HookSpec)),
        "profile": _named({"type": "object"}),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ringvisor fleet",
        "type": "object",
        "properties": {name: {"description": _DOCS[name], **tables[name]} for name in TOP_LEVEL},
        "additionalProperties": False,
        "$defs": {"session": _session()},
    }


def _session() -> Schema:
    return {"type": "object", "properties": properties(session_keys().values()), "additionalProperties": False}


def _named(table: Schema) -> Schema:
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME_PATTERN}$"},
        "additionalProperties": table,
    }
