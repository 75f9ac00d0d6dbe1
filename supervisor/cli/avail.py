"""ringctl avail."""

from collections.abc import Iterable

import click

from supervisor.cli.arguments import json_option
from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import write_json, write_lines
from supervisor.control.messages import Avail, AvailReport, AvailRow


def avail_lines(rows: Iterable[AvailRow]) -> list[str]:
    """supervisorctl's fourth column is the group's priority and the process': ours have one."""
    return [
        f"{row.name:<32} {'in use' if row.in_use else 'avail':<9} {'auto' if row.autostart else 'manual':<9} "
        f"{row.priority}:{row.priority}"
        for row in rows
    ]


@click.command("avail", help="Every session of the fleet file: in use or not, started by itself or not, priority.")
@json_option
@pass_operator
def avail_command(operator: Operator, *, as_json: bool) -> Exit:
    rows = operator.ask(Avail(1), AvailReport).sessions
    if as_json:
        write_json(sessions=rows)
    else:
        write_lines(avail_lines(rows))
    return Exit.DONE
