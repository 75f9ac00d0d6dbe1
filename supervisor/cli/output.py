"""What commands write: lines and JSON, each in one piece."""

from collections.abc import Iterable
from typing import Any

import click
import msgspec

JSON_VERSION = 1


def write_lines(lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    if text:
        click.echo(text, nl=False, color=True)  # what is coloured was decided by `ink`


def write_json(**document: Any) -> None:
    """One object with its version."""
    click.echo(msgspec.json.format(msgspec.json.encode({"version": JSON_VERSION, **document})))


def write_json_line(document: Any) -> None:
    click.echo(msgspec.json.encode(document))


def complain(line: str) -> None:
    """Whatever it quotes, it is one line, and no more than that to a terminal."""
    click.echo(f"ringctl: {as_one_line(line)}", err=True)


def as_one_line(text: str) -> str:
    return text if text.isprintable() else "".join(mark if mark.isprintable() else "?" for mark in text)
