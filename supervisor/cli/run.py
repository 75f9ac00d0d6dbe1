"""ringctl run: a session from the command line, into the running fleet.

It stays however this command ends. That a program has ended, and how, is asked again where a supervisor was started
anew meanwhile.
"""

import os
import re
import signal
import sys
from typing import Any

import click

from supervisor.cli.arguments import duration
from supervisor.cli.exit_words import exit_words
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.operating import QUESTION_MAX_S, Operator, pass_operator
from supervisor.cli.output import complain, write_lines
from supervisor.control.client import NoAnswerInTimeError, NobodyAnswersError, NotPermittedError, RequestFailedError
from supervisor.control.messages import AwaitEnd, Ended, Outcome, RunProgram

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BY_SIGNAL = 128  # as shells have it


def _variables(_ctx: click.Context, _param: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    for word in words:
        if not word.partition("=")[1]:
            raise click.BadParameter(f"{word} is not NAME=VALUE")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.option("--name", default="", metavar="NAME", help="Of the session; else it is called after the program.")
@click.option("--keep", is_flag=True, help="Part of the fleet until ringctl remove; else gone once it has ended.")
@click.option("--cwd", metavar="DIR", help="Where it runs; here by default.")
@click.option("--env", "-e", multiple=True, callback=_variables, metavar="NAME=VALUE", help="A variable. Repeatable.")
@click.option("--pipe", is_flag=True, help="On pipes, not on a terminal of its own.")
@click.option("--attach/--no-attach", default=None, help="Your terminal on it; so it is on a terminal, without --wait.")
@click.option("--wait", is_flag=True, help="Until it has ended; exits as it did.")
@click.option("--timeout", callback=duration, metavar="TIME", help="Wait so long at most; the session runs on.")
@click.argument("command", nargs=-1, required=True, metavar="COMMAND...")
@pass_operator
def run_command(
    operator: Operator,
    name: str,
    cwd: str | None,
    env: dict[str, str],
    timeout: float | None,
    command: tuple[str, ...],
    *,
    keep: bool,
    pipe: bool,
    attach: bool | None,
    wait: bool,
) -> Exit | int:
    """Run a program as a session of the running fleet; its defaults apply.

    On a terminal you are attached to it: C-\\ leaves it, and it runs on. Exits with the program's code, or 128 and its
    signal, where it ended while you were there.
    """
    if attach is None:
        attach = not wait and sys.stdin.isatty() and sys.stdout.isatty()
    elif attach and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refusal("--attach needs a terminal on stdin and stdout; --wait waits without one", Exit.USAGE)
    request = RunProgram(1, list(command), os.path.abspath(cwd or "."), env, name, pipe, keep)
    started = _start(operator, _checked(request))
    if attach:
        return _attended(operator, started)
    write_lines([f"{started}: started"])
    return exit_code(started, _end(operator, started, timeout)) if wait else Exit.DONE


def _checked(request: RunProgram) -> RunProgram:
    try:
        "\0".join([*request.command, request.cwd, *request.env, *request.env.values()]).encode()
    except UnicodeEncodeError:
        raise Refusal("command, directory and variables must be UTF-8", Exit.USAGE) from None
    if request.name and not _NAME.fullmatch(request.name):
        raise Refusal(f"{request.name} is no name of a session: up to 64 of A-Z a-z 0-9 _ . -", Exit.USAGE)
    return request


def _start(operator: Operator, request: RunProgram) -> str:
    """Its name."""
    outcome = next(answer for answer in operator.order(request, QUESTION_MAX_S) if isinstance(answer, Outcome))
    if not outcome.ok:
        raise Refusal(f"{outcome.session} was not started: {outcome.result}; the command was {request.command[0]}")
    return outcome.session


def _attended(operator: Operator, session: str) -> Exit | int:
    from supervisor.cli.attach import conclude, visit  # noqa: PLC0415 - only where there is a terminal
    from supervisor.cli.viewer.detach import DetachKey  # noqa: PLC0415 - as above
    from supervisor.cli.viewer.places import Place  # noqa: PLC0415 - as above
    from supervisor.cli.viewer.sizing import Policy  # noqa: PLC0415 - as above
    from supervisor.cli.viewer.viewer import Why, Wishes  # noqa: PLC0415 - as above

    resize = Policy(operator.resize_policy(session) or Policy.WRITER)
    wishes = Wishes(
        DetachKey("C-\\"),
        resize=resize,
        exit_with_session=True,
        how_ended=operator.how_ended,
        end_input=operator.end_input,
    )
    place = Place(operator.place(session).runtime_dir, session)
    farewell = visit(place, wishes)
    conclude(session, farewell)
    return exit_code(session, _end(operator, session, QUESTION_MAX_S)) if farewell.why is Why.ENDED else Exit.DONE


def _end(operator: Operator, session: str, timeout_s: float | None) -> dict[str, Any] | None:
    """How it ended. None: nobody knows any more."""
    while True:
        try:
            for answer in operator.order(AwaitEnd(1, session), timeout_s):
                if isinstance(answer, Ended):
                    return answer.exit
        except RequestFailedError as failure:
            if failure.code == "no_such_session":
                return None
            raise
        except (NoAnswerInTimeError, NotPermittedError):
            raise
        except NobodyAnswersError:
            with operator.connect():  # the next supervisor, or nobody
                continue


def exit_code(session: str, end: dict[str, Any] | None) -> int:
    """The program's own; what has none is a failure, and said."""
    match end:
        case {"reason": "exited", "code": int(code)}:
            return code
        case {"reason": "signalled", "signal": str(name)}:
            complain(f"{session}: killed by {name}")
            return _BY_SIGNAL + getattr(signal, name, 0)
        case None:
            complain(f"{session} has ended; how is not known any more: ringctl logs {session} shows what it wrote")
            return Exit.FAILED
        case known:
            complain(f"{session}: {exit_words(known)}")
            return Exit.FAILED
