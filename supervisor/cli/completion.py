"""ringctl completion."""

import click
from click.shell_completion import get_completion_class

from supervisor.cli.exits import Exit, Refusal

_HOW = {
    "bash": '# eval "$(ringctl completion bash)"   in ~/.bashrc',
    "zsh": '# eval "$(ringctl completion zsh)"   in ~/.zshrc, after compinit',
    "fish": "# ringctl completion fish | source   in ~/.config/fish/config.fish",
}


@click.command("completion", help='A script for your shell: eval "$(ringctl completion bash)".')
@click.argument("shell", type=click.Choice(list(_HOW)))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> Exit:
    kind = get_completion_class(shell)
    if kind is None:
        raise Refusal(f"this click has no completion for {shell}: upgrade it")
    click.echo(f"{_HOW[shell]}\n{kind(ctx.find_root().command, {}, 'ringctl', '_RINGCTL_COMPLETE').source()}")
    return Exit.DONE
