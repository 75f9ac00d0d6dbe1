"""Nested facts as indented text. Pure: what there is to say, the daemon decides."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from supervisor.cli.ink import Ink
from supervisor.cli.moments import iso


def fact_lines(facts: Mapping[str, Any], ink: Ink, depth: int = 0) -> Iterator[str]:
    indent = "  " * depth
    width = max((len(str(key)) for key in facts), default=0)
    for key, value in facts.items():
        name = str(key).replace("_", " ")
        match value:
            case Mapping() if value:
                yield f"{indent}{ink(name, 'bold')}:"
                yield from fact_lines(value, ink, depth + 1)
            case [*items] if items:
                yield f"{indent}{ink(name, 'bold')}:"
                yield from _item_lines(items, ink, depth + 1)
            case _:
                yield f"{indent}{ink(f'{name:<{width}}', 'bold')}  {scalar(value)}"


def _item_lines(items: Sequence[Any], ink: Ink, depth: int) -> Iterator[str]:
    for item in items:
        if isinstance(item, Mapping):
            yield f"{'  ' * depth}{event_text(item, ink)}"
        else:
            yield f"{'  ' * depth}{scalar(item)}"


def event_text(fields: Mapping[str, Any], ink: Ink) -> str:
    """What has a time comes with it first; what says something in words says it last, and what is empty is left out."""
    rest = {key: value for key, value in fields.items() if key not in {"time", "text"} and value not in (None, "", {})}
    said = " ".join(f"{key}={scalar(value)}" for key, value in rest.items())
    parts = [ink(_moment(fields.get("time")), "dim"), said, str(fields.get("text", ""))]
    return "  ".join(part for part in parts if part)


def _moment(time: Any) -> str:
    return iso(int(time * 1_000_000_000)) if isinstance(time, int | float) else str(time or "")


def scalar(value: Any) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case Mapping():
            return ",".join(f"{key}={scalar(item)}" for key, item in value.items()) or "-"
        case [*items]:
            return ",".join(map(scalar, items)) or "-"
        case _:
            return str(value)
