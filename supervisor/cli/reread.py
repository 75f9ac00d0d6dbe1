"""ringctl reread."""

import click

from supervisor.cli.arguments import json_option
from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.outcomes import failure_line
from supervisor.cli.output import complain, write_json, write_lines
from supervisor.cli.plan_lines import plan_document, reread_lines
from supervisor.cli.verdicts import verdict_on
from supervisor.control.client import RequestFailedError
from supervisor.control.messages import PlanReport, Reread


@click.command("reread", help="What update would change: groups, and of sessions the keys and when they take effect.")
@json_option
@pass_operator
def reread_command(operator: Operator, *, as_json: bool) -> Exit:
    try:
        plan = operator.ask(Reread(1), PlanReport)
    except RequestFailedError as failure:
        write_lines([] if as_json else [failure_line(failure)])
        message, code = verdict_on(failure)
        complain(f"{message}; nothing was changed, ringvisord check shows every error")
        return code
    if as_json:
        write_json(**plan_document(plan))
    else:
        write_lines(reread_lines(plan))
    return Exit.DONE
