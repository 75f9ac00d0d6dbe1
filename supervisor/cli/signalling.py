"""ringctl signal."""

import click

from supervisor.cli.arguments import json_option, some_selectors
from supervisor.cli.exits import Exit
from supervisor.cli.operating import QUESTION_MAX_S, Operator, pass_operator
from supervisor.cli.orders import carry_out
from supervisor.control.messages import SendSignal


def signal_number(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    from config.units import parse_signal  # noqa: PLC0415 - config is imported where it is used

    text = value.upper()
    try:
        return parse_signal(int(text) if text.isdigit() else text)
    except ValueError:
        raise click.BadParameter(f"bad signal name {value}: write TERM, HUP, RTMIN+3 or a number") from None


@click.command("signal", help="Send a signal to sessions' programs: TERM, SIGTERM, 15, RTMIN+3.")
@click.argument("signum", callback=signal_number, metavar="SIG")
@some_selectors
@json_option
@pass_operator
def signal_command(operator: Operator, signum: int, selectors: tuple[str, ...], *, as_json: bool) -> Exit:
    return carry_out(operator, SendSignal(1, signum, list(selectors)), timeout_s=QUESTION_MAX_S, as_json=as_json)
