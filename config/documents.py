"""The tables of all files of a fleet, side by side: what includes add, and what is defined twice."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from config.located import Node
from config.report import Report
from config.suggest import suggest
from config.units import shown
from config.values import NAME_RULE, is_name

MAIN_FILE_ONLY: Final = ("fleet", "defaults")
TOP_LEVEL: Final = ("include", *MAIN_FILE_ONLY, "template", "session", "host", "hook", "profile")


class Documents(Struct, frozen=True, eq=False):
    fleet: Node
    defaults: Node
    template: dict[str, Node]
    session: dict[str, Node]
    host: dict[str, Node]
    hook: dict[str, Node]
    profile: dict[str, Node]


def gather(roots: Sequence[Node], report: Report) -> Documents:
    """The main file comes first."""
    main, *included = roots
    for root in roots:
        _refuse_unknown(root, report)
    for root in included:
        for name in MAIN_FILE_ONLY:
            if name in root.table:
                report.error(root.table[name].place, f"[{name}] belongs into the main file, {main.place.source.name}")
    return Documents(
        fleet=_table(main, "fleet", report),
        defaults=_table(main, "defaults", report),
        template=_named(roots, "template", report),
        session=_named(roots, "session", report),
        host=_named(roots, "host", report),
        hook=_named(roots, "hook", report),
        profile=_named(roots, "profile", report),
    )


def _refuse_unknown(root: Node, report: Report) -> None:
    for name, item in root.table.items():
        if name not in TOP_LEVEL:
            report.error(item.place, "is no table that ringvisor knows", suggest(name, TOP_LEVEL))


def _table(root: Node, name: str, report: Report) -> Node:
    found = root.table.get(name)
    if found is None or not isinstance(found.value, dict):
        if found is not None:
            report.error(found.place, f"is {found.type_name}, where a table belongs")
        return Node({}, root.place)
    return found


def _named(roots: Sequence[Node], kind: str, report: Report) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for name, item in _items(roots, kind, report):
        if not is_name(name):
            report.error(item.place, f"{shown(name)} is no name: {NAME_RULE}")
        if name in found:
            report.error(item.place, f"is defined already at {found[name].place}")
        elif isinstance(item.value, dict):
            found[name] = item
        else:
            report.error(item.place, f"is {item.type_name}, where a table belongs")
    return found


def _items(roots: Sequence[Node], kind: str, report: Report) -> Iterator[tuple[str, Node]]:
    for root in roots:
        yield from _table(root, kind, report).table.items()
