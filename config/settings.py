"""The fleet's own table, [fleet]: names and directories, with what stands in for those not said."""

import re
from typing import Final

from msgspec import structs

from config.kinds import INVALID, Scope
from config.located import Node
from config.locations import (
    Surroundings,
    default_fleet_name,
    default_log_dir,
    default_runtime_dir,
    default_state_dir,
)
from config.model import FleetSettings
from config.tables import keys_of, read_keys, refuse_unknown
from config.values import NAME

_HEADER: Final = re.compile(r"^[ \t]*\[[ \t]*fleet[ \t]*\][ \t]*(?:#.*)?\r?$", re.MULTILINE)
_OTHER_SPELLING: Final = re.compile(r"""^[ \t]*\[?[ \t]*["']?fleet""", re.MULTILINE)
_NEXT_HEADER: Final = re.compile(r"^[ \t]*\[", re.MULTILINE)


def read_settings(node: Node, scope: Scope, around: Surroundings) -> FleetSettings:
    refuse_unknown(node, keys_of(FleetSettings), scope)
    name = default_fleet_name(node.place.source.directory)
    if "name" in node.table:
        written = NAME.read(node.table["name"], scope)
        name = written if isinstance(written, str) else name
    values = read_keys(FleetSettings, node, structs.replace(scope, names={"fleet": name}))
    settings = FleetSettings(**({} if values is INVALID else values))
    return structs.replace(
        settings,
        name=name,
        runtime_dir=settings.runtime_dir or default_runtime_dir(name, around),
        state_dir=settings.state_dir or default_state_dir(name, around),
        log_dir=settings.log_dir or default_log_dir(name, around),
    )


def fleet_excerpt(text: str) -> str:
    """The lines of [fleet] alone, with their numbers; the whole text where they cannot be told without reading it.

    A fleet of a thousand sessions takes tomllib longer than a command like `ringctl status` may take at all.
    """
    header = _HEADER.search(text)
    if header is None and not _OTHER_SPELLING.search(text):
        return ""
    if header is None or any(quotes in text[: header.start()] for quotes in ('"""', "'''")):
        return text
    following = _NEXT_HEADER.search(text, header.end())
    above = "\n" * text.count("\n", 0, header.start())
    return above + text[header.start() : following.start() if following else len(text)]
