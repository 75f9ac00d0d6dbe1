"""ringctl fg: supervisorctl's word for a terminal on a program; ours is attach."""

import click

from supervisor.cli.arguments import complete_names
from supervisor.cli.catalogue import find_command
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.output import complain


@click.command("fg", help="Your terminal on a session's, as attach has it; C-\\ leaves it, and it runs on.")
@click.argument("names", nargs=-1, metavar="NAME", shell_complete=complete_names)
@click.pass_context
def fg_command(ctx: click.Context, names: tuple[str, ...]) -> Exit | int | None:
    match names:
        case []:
            raise Refusal("ERROR: no process name supplied; ringctl help fg says how", Exit.USAGE)
        case [name]:
            pass
        case _:
            raise Refusal("ERROR: too many process names supplied; name one", Exit.USAGE)
    complain(f"fg {name} is attach {name}")
    attach = find_command("attach")
    with attach.make_context("attach", [name], parent=ctx.parent) as attached:
        result: Exit | int | None = attach.invoke(attached)
        return result
