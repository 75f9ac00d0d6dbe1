"""Options and arguments that many commands have, and what the shell completes them to."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from supervisor.cli.exits import Refusal
from supervisor.cli.operating import Operator
from supervisor.cli.places import Wanted
from supervisor.cli.session_names import completions
from supervisor.control.client import NobodyAnswersError, RequestFailedError

_F = TypeVar("_F", bound=Callable[..., Any])
WAIT_MAX_S = 300.0


def complete_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Nothing where nobody answers: a shell has no place for an error."""
    given = ctx.find_root().params
    operator = Operator(Wanted(given.get("config"), given.get("socket"), given.get("fleet")))
    try:
        return completions(operator.status().sessions, incomplete)
    except (NobodyAnswersError, RequestFailedError, Refusal, OSError):
        return []


def duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """A callback: "10s", "1m30s", or seconds."""
    if value is None:
        return None
    from config.units import parse_duration  # noqa: PLC0415 - only where one is given

    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def selectors(function: _F) -> _F:
    """What they fit is for the daemon to say."""
    metavar = "[NAME|GROUP:*|GLOB|all|state=S|tag=T]..."
    return click.argument("selectors", nargs=-1, metavar=metavar, shell_complete=complete_names)(function)


def some_selectors(function: _F) -> _F:
    metavar = "NAME|GROUP:*|GLOB|all..."
    return click.argument("selectors", nargs=-1, required=True, metavar=metavar, shell_complete=complete_names)(
        function
    )


def one_session(function: _F) -> _F:
    return click.argument("session", metavar="NAME", shell_complete=complete_names)(function)


def json_option(function: _F) -> _F:
    return click.option("--json", "as_json", is_flag=True, help="Write JSON.")(function)


def wait_options(function: _F) -> _F:
    wait = click.option("--wait/--no-wait", default=True, help="Wait until it is done, or only until it was asked for.")
    timeout = click.option(
        "--timeout", callback=duration, default="5m", metavar="TIME", show_default=True, help="Wait so long at most."
    )
    return wait(timeout(function))
