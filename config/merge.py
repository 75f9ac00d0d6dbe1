"""Defaults, templates and the session's own table, laid over each other: tables merge key by key, all else replaces."""

from collections.abc import Iterator, Mapping

from config.cycles import cycles
from config.located import Node
from config.report import Report
from config.suggest import suggest


def merge(under: Node, over: Node) -> Node:
    if not isinstance(under.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(under.value)
    for key, item in over.value.items():
        merged[key] = merge(merged[key], item) if key in merged else item
    return Node(merged, over.place)


def flat_templates(templates: Mapping[str, Node], report: Report) -> dict[str, Node]:
    """Each template with all that it inherits. A circle is reported, and its templates inherit nothing."""
    parents = {name: parent_of(node, templates, report) for name, node in templates.items()}
    circular: set[str] = set()
    for circle in cycles({name: {parent} for name, parent in parents.items() if parent}):
        circular |= set(circle)
        report.error(templates[circle[0]].at("template"), f"templates in a circle: {' -> '.join(circle)}")
    flat: dict[str, Node] = {}
    for name in templates:
        for step in reversed(list(_lineage(name, parents, circular | flat.keys()))):
            parent = parents[step]
            inherits = parent and step not in circular
            flat[step] = merge(flat[parent], templates[step]) if inherits else templates[step]
    return flat


def parent_of(node: Node, templates: Mapping[str, Node], report: Report) -> str:
    """The template that a table names, "" if none or none that exists."""
    if "template" not in node.table:
        return ""
    named = node.table["template"]
    if not isinstance(named.value, str):
        report.error(named.place, f"is {named.type_name}, where the name of a template belongs")
        return ""
    if named.value in templates:
        return named.value
    report.error(named.place, f"there is no [template.{named.value}]", suggest(named.value, templates))
    return ""


def _lineage(name: str, parents: Mapping[str, str], known: set[str]) -> Iterator[str]:
    """From a template up to the first ancestor that has none, or is known already."""
    while name:
        yield name
        name = "" if name in known else parents[name]
