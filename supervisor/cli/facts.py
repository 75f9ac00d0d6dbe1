"""ringctl inspect, explain."""

import click

from supervisor.cli.arguments import json_option, one_session
from supervisor.cli.exits import Exit
from supervisor.cli.fact_lines import fact_lines
from supervisor.cli.ink import stdout_ink
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import write_json, write_lines
from supervisor.cli.session_names import bare_name
from supervisor.control.messages import Explain, Facts, Inspect


@click.command("inspect", help="All there is to know about a session: settings, processes, ring, log, limits.")
@one_session
@json_option
@pass_operator
def inspect_command(operator: Operator, session: str, *, as_json: bool) -> Exit:
    return _show(operator.ask(Inspect(1, bare_name(session)), Facts), as_json=as_json)


@click.command("explain", help="The events and rules that led to a session's present state, and what it waits for.")
@one_session
@json_option
@pass_operator
def explain_command(operator: Operator, session: str, *, as_json: bool) -> Exit:
    return _show(operator.ask(Explain(1, bare_name(session)), Facts), as_json=as_json)


def _show(answer: Facts, *, as_json: bool) -> Exit:
    if as_json:
        write_json(**{"session": "", **answer.facts})
    else:
        write_lines(fact_lines(answer.facts, stdout_ink()))
    return Exit.DONE
