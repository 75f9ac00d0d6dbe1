"""ringctl scale."""

import re

import click

from supervisor.cli.arguments import json_option, wait_options
from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.orders import carry_out
from supervisor.cli.output import write_lines
from supervisor.control.messages import Scale

_MOST = 10_000
_ORDER = re.compile(r"([A-Za-z0-9_.-]{1,64})=(\d{1,5})")


def parse_scale(word: str) -> tuple[str, int]:
    found = _ORDER.fullmatch(word)
    if found is None or int(found[2]) > _MOST:
        raise click.UsageError(f"{word} is not NAME=N with N up to {_MOST}", click.get_current_context(silent=True))
    return found[1], int(found[2])


@click.command("scale", help="How many instances of a session table run: only the difference starts or stops.")
@click.argument("orders", nargs=-1, required=True, metavar="NAME=N...")
@wait_options
@json_option
@pass_operator
def scale_command(operator: Operator, orders: tuple[str, ...], *, wait: bool, timeout: float, as_json: bool) -> Exit:
    code = Exit.DONE
    for table, instances in list(map(parse_scale, orders)):
        request = Scale(1, table, instances, wait=wait)
        came_to = carry_out(operator, request, timeout_s=timeout, as_json=as_json)
        if came_to is Exit.DONE and not as_json:
            write_lines([f"{table}: {instances} instances"])
        code = max(code, came_to)
    return code
