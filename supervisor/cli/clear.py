"""ringctl clear."""

import click

from supervisor.cli.arguments import WAIT_MAX_S, json_option, selectors
from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.orders import carry_out
from supervisor.control.messages import LogOrder


@click.command("clear", help="Empty the logs of sessions. What was in them is a stated gap from then on.")
@selectors
@json_option
@pass_operator
def clear_command(operator: Operator, selectors: tuple[str, ...], *, as_json: bool) -> Exit:
    if not selectors:
        raise click.UsageError("Error: clear requires a process name", click.get_current_context())
    return carry_out(operator, LogOrder(1, "clear", list(selectors)), timeout_s=WAIT_MAX_S, as_json=as_json)
