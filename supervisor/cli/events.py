"""ringctl events."""

import contextlib
from collections.abc import Sequence
from fnmatch import fnmatchcase

import click
import msgspec

from supervisor.cli.arguments import complete_names, json_option
from supervisor.cli.exits import Exit
from supervisor.cli.fact_lines import event_text
from supervisor.cli.ink import Ink, stdout_ink
from supervisor.cli.operating import QUESTION_MAX_S, Operator, pass_operator
from supervisor.cli.output import write_json_line, write_lines
from supervisor.control.messages import Answer, FollowEvents, Happened, Missed


@click.command("events", help="The last events, oldest first; -f goes on with each as it happens.")
@click.argument("sessions", nargs=-1, metavar="[NAME|GLOB]...", shell_complete=complete_names)
@click.option("-f", "--follow", is_flag=True, help="Go on; Ctrl-C ends it.")
@click.option("-n", "--last", type=click.IntRange(0, 10_000), default=50, metavar="N", show_default=True)
@json_option
@pass_operator
def events_command(operator: Operator, sessions: tuple[str, ...], *, follow: bool, last: int, as_json: bool) -> Exit:
    """JSON: an object an event, one a line."""
    ink = stdout_ink()
    with contextlib.suppress(KeyboardInterrupt) if follow else contextlib.nullcontext():
        for answer in operator.order(FollowEvents(1, last, follow), None if follow else QUESTION_MAX_S):
            if concerns(answer, sessions):
                _show(answer, ink, as_json=as_json)
    return Exit.DONE


def concerns(answer: Answer, sessions: Sequence[str]) -> bool:
    """What is about the whole fleet is left out once sessions are named. A loss concerns everybody."""
    if not isinstance(answer, Happened) or not sessions:
        return True
    name = answer.session.rpartition(":")[2]
    return any(fnmatchcase(name, wanted) or fnmatchcase(answer.session, wanted) for wanted in sessions)


def event_line(answer: Happened | Missed, ink: Ink) -> str:
    if isinstance(answer, Missed):
        return ink(f"({answer.count} events were missed: this terminal was too slow)", "yellow")
    session = f"{answer.session or 'fleet':<20}"
    line = f"{ink(answer.time, 'dim')}  {session} {ink.state(f'{answer.state:<9}')} {answer.event}"
    return f"{line}  {event_text(answer.detail, ink)}".rstrip()


def _show(answer: Answer, ink: Ink, *, as_json: bool) -> None:
    if as_json:
        fields = msgspec.structs.asdict(answer)
        del fields["id"]
        write_json_line({"missed": answer.count} if isinstance(answer, Missed) else fields)
    elif isinstance(answer, Happened | Missed):
        write_lines([event_line(answer, ink)])
