"""ringctl status."""

import click

from supervisor.cli.arguments import json_option, selectors
from supervisor.cli.exits import Exit
from supervisor.cli.ink import stdout_ink
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import complain, write_json, write_lines
from supervisor.cli.status_lines import status_exit, status_lines


@click.command("status", help="State of sessions: name, state, and pid and uptime or the reason.")
@selectors
@json_option
@pass_operator
def status_command(operator: Operator, selectors: tuple[str, ...], *, as_json: bool) -> Exit:
    report = operator.status(selectors)
    if as_json:
        write_json(fleet=report.fleet, sessions=report.sessions, unknown=report.unknown)
    else:
        write_lines(status_lines(report.sessions, report.unknown, stdout_ink()))
    code = status_exit(report.sessions, report.unknown)
    if report.unknown:
        complain(f"no such session: {', '.join(report.unknown)}; ringctl status lists them")
    return code
