"""ringctl start, stop, restart."""

import click

from supervisor.cli.arguments import json_option, selectors, wait_options
from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.orders import carry_out
from supervisor.control.messages import Act, Verb

_HARMLESS = {
    Verb.START: frozenset({"already started"}),
    Verb.STOP: frozenset({"not running"}),
    Verb.RESTART: frozenset({"not running"}),
}


def _command(verb: Verb, text: str) -> click.Command:
    @click.command(verb.value, help=text)
    @selectors
    @wait_options
    @json_option
    @pass_operator
    def command(operator: Operator, selectors: tuple[str, ...], *, wait: bool, timeout: float, as_json: bool) -> Exit:
        if not selectors:
            raise click.UsageError(f"Error: {verb.value} requires a process name", click.get_current_context())
        request = Act(1, verb, list(selectors), wait=wait)
        return carry_out(operator, request, timeout_s=timeout, as_json=as_json, harmless=_HARMLESS[verb])

    return command


start_command = _command(Verb.START, "Start sessions: NAME…, GROUP:*, a glob, all.")
stop_command = _command(Verb.STOP, "Stop sessions: NAME…, GROUP:*, a glob, all. The whole tree of each ends.")
restart_command = _command(Verb.RESTART, "Stop sessions, then start them. The fleet file is not read again.")
