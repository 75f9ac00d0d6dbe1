"""ringctl: finds the command, and turns whatever ends it into an exit code and at most one line on stderr.

errors of usage, of the connection, of the daemon      ->  one line (`verdicts`), the code of `exits`
a reader of our output that went away (| head)         ->  0, silently: it has what it wanted
Ctrl-C                                                 ->  1 and a line; 0 where a command follows something
"""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from supervisor.cli.catalogue import COMMANDS, NOT_THERE_YET, SECTIONS, find_command
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.operating import Operator
from supervisor.cli.output import complain
from supervisor.cli.places import Wanted
from supervisor.cli.verdicts import TRACEBACK, verdict_on
from supervisor.control.waiting import heeding_signals

_PROGRAM = "ringctl"


class Ringctl(click.Group):
    """A command returns its Exit, or nothing where it is done."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        for name in ("prog_name", "standalone_mode"):
            extra.pop(name, None)
        _fill_closed_streams()
        with heeding_signals():
            code = int(self._run(args, extra))
        try:
            sys.stdout.flush()
        except OSError:
            _forget_stdout()
        sys.exit(code)

    def _run(self, args: Sequence[str] | None, extra: dict[str, Any]) -> Exit | int:
        try:
            result = super().main(args, _PROGRAM, standalone_mode=False, **extra)
        except Exception as error:  # noqa: BLE001 - an operator is never shown a traceback, unless he asks for it
            if os.environ.get(TRACEBACK):
                sys.excepthook(type(error), error, error.__traceback__)
            message, code = verdict_on(error)
            complain(message)
            return code
        return result if isinstance(result, int) else Exit.DONE

    def invoke(self, ctx: click.Context) -> Any:
        """click has answers of its own to these two."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _forget_stdout()
            return Exit.DONE
        except KeyboardInterrupt as interruption:
            message, code = verdict_on(interruption)
            raise Refusal(message, code) from None
        return result

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        return find_command(name) if name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if " " in args[0]:  # ringctl 'tail -100 web', as supervisorctl takes it
            args = [*args[0].split(), *args[1:]]
        name = args[0]
        if name in NOT_THERE_YET:
            raise Refusal(f"{name} is not there yet; ringctl help lists what is")
        command = self.get_command(ctx, name)
        if command is None:
            raise click.UsageError(f'there is no command "{name}"{_nearest(name)}')
        return name, command, args[1:]

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return list(_command_items(incomplete))


def _command_items(incomplete: str) -> Iterator[CompletionItem]:
    for name, entry in COMMANDS.items():
        if name.startswith(incomplete):
            yield CompletionItem(name, help=entry.help)


def _nearest(name: str) -> str:
    from config.suggest import suggest  # noqa: PLC0415 - only after a slip

    found = suggest(name, COMMANDS)
    return f'; did you mean "{found}"?' if found else ""


def _fill_closed_streams() -> None:
    """Where one of them is closed, its number would go to the next socket, and what is written into that."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r", closefd=False))


def _forget_stdout() -> None:
    """What is left in its buffer must not be tried again when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@click.command(
    cls=Ringctl,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    options_metavar="[-c FILE | -s SOCKET | -n FLEET]",
)
@click.option("-c", "--config", metavar="FILE", type=click.Path(), help="The fleet file.")
@click.option("-s", "--socket", metavar="SOCKET", type=click.Path(), help="The control socket, when there is no file.")
@click.option("-n", "--fleet", metavar="FLEET", help="The fleet's name, one of those that ringctl fleets lists.")
@click.pass_context
def ringctl(ctx: click.Context, config: str | None, socket: str | None, fleet: str | None) -> Exit | None:
    """Operate a fleet of sessions. Without a command: a prompt."""
    ctx.obj = Operator(Wanted(config, socket, fleet))
    if ctx.invoked_subcommand is not None:
        return None
    from supervisor.cli.prompt import run_prompt  # noqa: PLC0415 - only when called bare

    return run_prompt(ctx.obj, ctx.command)


if __name__ == "__main__":
    ringctl()
