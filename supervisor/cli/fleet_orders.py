"""ringctl reload, shutdown.

shutdown waits for the main process itself: its pidfd is opened before the order is given, so that no other process of
the same number is waited for.
"""

import contextlib
import os
import select
import time
from collections.abc import Iterator

import click
from click.core import ParameterSource

from supervisor.cli.arguments import wait_options
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.operating import QUESTION_MAX_S, Operator, pass_operator
from supervisor.cli.orders import carry_out
from supervisor.cli.output import write_lines
from supervisor.control.client import ControlClient, NoAnswerInTimeError, NobodyAnswersError
from supervisor.control.messages import Reload, Shutdown


@click.command("reload", help="Start the supervisor anew on the fleet file as it is now; sessions run on.")
@pass_operator
def reload_command(operator: Operator) -> Exit:
    # The one who answers is the one who goes: that he hangs up is what was asked for.
    try:
        code = carry_out(operator, Reload(1), timeout_s=QUESTION_MAX_S)
    except NoAnswerInTimeError:
        raise
    except NobodyAnswersError:
        with operator.connect():
            code = Exit.DONE
    if code is Exit.DONE:
        write_lines(["Restarted supervisord"])
    return code


@click.command("shutdown", help="Stop every session in order, then end ringvisord.")
@wait_options
@click.option("--force", is_flag=True, help="With no daemon: from the records. Ends what is left running, keeps logs.")
@click.pass_context
def shutdown_command(ctx: click.Context, *, wait: bool, timeout: float, force: bool) -> Exit:
    operator = ctx.ensure_object(Operator)
    if force:
        return _force(operator, timeout if ctx.get_parameter_source("timeout") is ParameterSource.COMMANDLINE else None)
    deadline_s = time.monotonic() + timeout
    with operator.connect() as client, _process(client.welcome.keeper_pid) as pidfd:
        _give_order(client, timeout)
        if wait and pidfd is not None:
            _wait_end(pidfd, deadline_s)
    write_lines(["Shut down"])
    return Exit.DONE


def _force(operator: Operator, timeout_s: float | None) -> Exit:
    from supervisor.cli.forced_shutdown import force_shutdown  # noqa: PLC0415 - only where it is forced

    return force_shutdown(operator.fleet, timeout_s, lambda line: write_lines([line]))


def _give_order(client: ControlClient, timeout_s: float) -> None:
    try:
        for _ in client.stream(Shutdown(1), timeout_s=timeout_s):
            pass
    except NoAnswerInTimeError:
        raise
    except NobodyAnswersError:
        return  # it ended before it could say so


def _wait_end(pidfd: int, deadline_s: float) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
        raise Refusal("ringvisord has not ended yet: ringctl status shows who is still running, --timeout waits longer")


@contextlib.contextmanager
def _process(pid: int) -> Iterator[int | None]:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # gone already, or in another pid namespace
        yield None
        return
    try:
        yield pidfd
    finally:
        os.close(pidfd)
