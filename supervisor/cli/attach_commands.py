"""The commands `attach`, `send` and `expect`. They talk to a session's worker and to the router, and work while the
supervisor is away; what they import waits until one of them is chosen."""

import os
import re
import sys
from typing import TYPE_CHECKING

import click

from supervisor.cli.arguments import duration, json_option, one_session
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import write_json, write_lines

if TYPE_CHECKING:
    from supervisor.cli.expect import Found
    from supervisor.cli.viewer.places import Place


@click.command("attach")
@one_session
@click.option("-r", "--read-only", is_flag=True, help="Watch; what you type goes nowhere.")
@click.option("--steal", is_flag=True, help="Type here even if somebody else does; he watches then.")
@click.option(
    "--detach-key", default="C-\\", show_default=True, metavar="KEYS", help='Another one, as in "C-a d"; none: no key.'
)
@click.option(
    "--resize",
    type=click.Choice(["fixed", "writer", "latest", "smallest"]),
    help="Whose size the session's terminal has; as its settings say by default.",
)
@click.option("--exit-with-session", is_flag=True, help="Leave when the program ends; else wait for its next start.")
@pass_operator
def attach_command(
    operator: Operator,
    session: str,
    detach_key: str,
    resize: str | None,
    *,
    read_only: bool,
    steal: bool,
    exit_with_session: bool,
) -> Exit:
    """Put your terminal at a session. C-\\ leaves it; the program runs on.

    One types, others watch: who came first, or who came with --steal. To type C-\\ itself, choose another --detach-key,
    or use ringctl send NAME --key 'C-\\'.
    """
    from supervisor.cli.attach import attach  # noqa: PLC0415 - see above
    from supervisor.cli.viewer.detach import DetachKey  # noqa: PLC0415 - see above
    from supervisor.cli.viewer.sizing import Policy  # noqa: PLC0415 - see above
    from supervisor.cli.viewer.viewer import Wishes  # noqa: PLC0415 - see above
    from supervisor.cli.viewer.worker_link import Role  # noqa: PLC0415 - see above

    if read_only and steal:
        raise click.UsageError("--read-only and --steal: choose one")
    try:
        key = DetachKey(detach_key)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--detach-key") from error
    role = Role.WATCHER if read_only else Role.WRITER if steal else Role.CLAIMANT
    wishes = Wishes(
        key,
        role,
        Policy(resize or operator.resize_policy(session) or Policy.WRITER),
        exit_with_session=exit_with_session,
        how_ended=operator.how_ended,
        end_input=operator.end_input,
    )
    attach(_place(operator, session), wishes)
    return Exit.DONE


@click.command("send")
@one_session
@click.argument("text", required=False)
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Then this key: C-c, M-x, Up, F5, … Repeatable.")
@click.option("--stdin", "from_stdin", is_flag=True, help="The text is what comes on stdin.")
@click.option("--enter/--no-enter", default=True, help="Enter after the text, or not.")
@click.option("--eof", is_flag=True, help="Then end of file.")
@click.option("--timeout", callback=duration, default="10s", show_default=True, metavar="TIME", help="To be written.")
@json_option
@pass_operator
def send_command(
    operator: Operator,
    session: str,
    text: str | None,
    keys: tuple[str, ...],
    timeout: float,
    *,
    from_stdin: bool,
    enter: bool,
    eof: bool,
    as_json: bool,
) -> Exit:
    """Type text, then Enter, into a session; or keys by name. Says how far it came: queued, written, echoed, accepted.

    Keys come after the text, and instead of its Enter.
    """
    from supervisor.cli.keys import parse_key  # noqa: PLC0415 - see above
    from supervisor.cli.send import Progress, Words, send  # noqa: PLC0415 - see above

    if from_stdin == (text is not None) and (from_stdin or not (keys or eof)):
        raise click.UsageError("say what to send: TEXT, --stdin, --key KEY or --eof")
    try:
        pressed = [parse_key(key) for key in keys]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--key") from error
    data = sys.stdin.buffer.read().removesuffix(b"\n") if from_stdin else os.fsencode(text or "")
    typed = text is not None or from_stdin
    place = _place(operator, session)
    progress = send(place, Words(data, enter and typed and not keys, pressed, eof), timeout)
    if eof:
        operator.end_input(place.session)
    if as_json:
        write_json(session=place.session, state=progress.name.lower(), bytes=len(data))
    else:
        write_lines([progress.name.lower()])
    if progress is Progress.QUEUED:
        raise Refusal(f"{place.session} has not read it within {timeout:g} s; it stays queued")
    return Exit.DONE


@click.command("expect")
@one_session
@click.argument("regex")
@click.option("--timeout", callback=duration, default="30s", show_default=True, metavar="TIME", help="Wait so long.")
@click.option("--since-start", is_flag=True, help="Also in what it wrote since its last start.")
@click.option("--last", type=click.IntRange(1), metavar="BYTES", help="Also in so much of what it wrote last.")
@json_option
@pass_operator
def expect_command(
    operator: Operator, session: str, regex: str, timeout: float, last: int | None, *, since_start: bool, as_json: bool
) -> Exit:
    """Wait until a session writes what REGEX finds, and print it; with groups, a line for each.

    0: found; 1: not in time, or the program ended.
    """
    from ipc.router_messages import LastBytes, Now  # noqa: PLC0415 - see above
    from supervisor.cli.expect import Found, expect  # noqa: PLC0415 - see above

    if since_start and last:
        raise click.UsageError("--since-start and --last: choose one")
    try:
        pattern = re.compile(os.fsencode(regex))
    except re.error as error:
        raise click.BadParameter(f"{error}", param_hint="REGEX") from error
    origin = LastBytes(2**62) if since_start else LastBytes(last) if last else Now()
    place = _place(operator, session)
    found = expect(place, pattern, origin, timeout)
    if not isinstance(found, Found):
        if as_json:
            write_json(session=place.session, matched=False, reason=found.reason)
        why = "it ended" if found.reason == "ended" else f"not within {timeout:g} s"
        raise Refusal(f"{place.session} did not write it: {why}; ringctl logs {place.session} shows what it wrote")
    if as_json:
        write_json(session=place.session, matched=True, **_described(found))
    else:
        write_lines(map(_text, found.groups or (found.match,)))
    return Exit.DONE


def _described(found: "Found") -> dict[str, object]:
    return {
        "match": _text(found.match),
        "groups": [None if group is None else _text(group) for group in found.groups],
        "named": {name: None if group is None else _text(group) for name, group in found.named.items()},
        "epoch": found.epoch,
        "offset": found.offset,
    }


def _text(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")


def _place(operator: Operator, session: str) -> "Place":
    from supervisor.cli.viewer.places import Place  # noqa: PLC0415 - see above

    found = operator.place(session)
    return Place(found.runtime_dir, found.session)
