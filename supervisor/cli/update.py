"""ringctl update."""

import click

from supervisor.cli.arguments import json_option, wait_options
from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.orders import carry_out
from supervisor.control.messages import Update


@click.command("update", help="Read the fleet file again and apply what differs, in these groups or in all.")
@click.argument("groups", nargs=-1, metavar="[GROUP|all]...")
@wait_options
@json_option
@pass_operator
def update_command(operator: Operator, groups: tuple[str, ...], *, wait: bool, timeout: float, as_json: bool) -> Exit:
    chosen = [] if "all" in groups else list(groups)
    return carry_out(operator, Update(1, chosen, wait=wait), timeout_s=timeout, as_json=as_json)
