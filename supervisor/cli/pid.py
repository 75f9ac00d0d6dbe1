"""ringctl pid."""

import click

from supervisor.cli.arguments import json_option, selectors
from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import complain, write_json, write_lines
from supervisor.cli.session_names import shown_name


@click.command("pid", help="The pid of ringvisord, or of sessions' programs, one a line; 0 where one does not run.")
@selectors
@json_option
@pass_operator
def pid_command(operator: Operator, selectors: tuple[str, ...], *, as_json: bool) -> Exit:
    if not selectors:
        return _of_ringvisord(operator, as_json=as_json)
    report = operator.status(selectors)
    if as_json:
        write_json(pids={shown_name(session): session.pid for session in report.sessions}, unknown=report.unknown)
    else:
        write_lines(f"No such process {name}" for name in report.unknown)
        write_lines(str(session.pid) for session in report.sessions)
    if report.unknown:
        complain(f"no such session: {', '.join(report.unknown)}; ringctl status lists them")
        return Exit.NO_SUCH
    idle = [shown_name(session) for session in report.sessions if not session.pid]
    if idle and "all" not in selectors:
        complain(f"{', '.join(idle)} has no process; ringctl start {idle[0]} starts it")
        return Exit.FAILED
    return Exit.DONE


def _of_ringvisord(operator: Operator, *, as_json: bool) -> Exit:
    with operator.connect() as client:
        pid = client.welcome.keeper_pid
    if as_json:
        write_json(pids={"ringvisord": pid}, unknown=[])
    else:
        write_lines([str(pid)])
    return Exit.DONE
