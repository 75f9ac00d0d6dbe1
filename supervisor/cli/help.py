"""ringctl help."""

import click

from supervisor.cli.catalogue import COMMANDS, find_command
from supervisor.cli.exits import Exit
from supervisor.cli.output import write_lines


@click.command("help", help="The list of commands, or help on one.")
@click.argument("topic", required=False, metavar="[COMMAND]", shell_complete=lambda *_: list(COMMANDS))
@click.pass_context
def help_command(ctx: click.Context, topic: str | None) -> Exit:
    parent = ctx.find_root()
    if topic is None:
        write_lines([parent.command.get_help(parent)])
        return Exit.DONE
    if topic not in COMMANDS:
        write_lines([f"*** No help on {topic}"])
        return Exit.DONE
    command = find_command(topic)
    with click.Context(command, info_name=topic, parent=parent) as asked:
        write_lines([command.get_help(asked)])
    return Exit.DONE
