"""ringctl version."""

import click

from supervisor.cli.arguments import json_option
from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import write_json, write_lines


@click.command("version", help="The release of the ringvisord that answers.")
@json_option
@pass_operator
def version_command(operator: Operator, *, as_json: bool) -> Exit:
    with operator.connect() as client:
        welcome = client.welcome
    if as_json:
        write_json(release=welcome.release, protocol=welcome.version, fleet=welcome.fleet)
    else:
        write_lines([welcome.release])
    return Exit.DONE
