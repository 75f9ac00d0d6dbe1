"""ringctl add, remove."""

import click

from supervisor.cli.arguments import WAIT_MAX_S
from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.orders import carry_out
from supervisor.control.messages import AddGroup, RemoveGroup

_groups = click.argument("groups", nargs=-1, required=True, metavar="GROUP...")


@click.command("add", help="Bring groups of the fleet file into use.")
@_groups
@pass_operator
def add_command(operator: Operator, groups: tuple[str, ...]) -> Exit:
    harmless = frozenset({"already_active"})
    return max(carry_out(operator, AddGroup(1, name), timeout_s=WAIT_MAX_S, harmless=harmless) for name in groups)


@click.command("remove", help="Put groups out of use; their sessions must be stopped.")
@_groups
@pass_operator
def remove_command(operator: Operator, groups: tuple[str, ...]) -> Exit:
    return max(carry_out(operator, RemoveGroup(1, name), timeout_s=WAIT_MAX_S) for name in groups)
