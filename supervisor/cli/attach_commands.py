"""The click commands `attach`, `send` and `expect`. The context's object says where a session is; the rest of the
imports waits until a command is chosen."""

from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from supervisor.cli.attach import Place


class Places(Protocol):
    """`how_ended(session, epoch)` and `resize_policy(session)` are asked if they are there."""

    def place(self, session: str) -> "Place": ...


@click.command("attach")
@click.argument("name")
@click.option("-r", "--read-only", is_flag=True, help="Watch; what you type goes nowhere.")
@click.option("--steal", is_flag=True, help="Type here even if somebody else does; he watches then.")
@click.option("--detach-key", default="C-\\", show_default=True, metavar="KEYS", help='As in "C-a d"; none: no key.')
@click.option(
    "--resize",
    type=click.Choice(["fixed", "writer", "latest", "smallest"]),
    help="Whose size the session's terminal has; as configured by default.",
)
@click.option("--exit-with-session", is_flag=True, help="Leave when the program ends; else wait for its next start.")
@click.pass_obj
def attach_command(
    places: Places,
    name: str,
    detach_key: str,
    resize: str | None,
    *,
    read_only: bool,
    steal: bool,
    exit_with_session: bool,
) -> None:
    """Put your terminal at a session. C-\\ leaves it; the program runs on.

    One types, others watch: who came first, or who came with --steal. To type C-\\ itself, choose another --detach-key,
    or use ringctl send NAME --key 'C-\\'.
    """
    from supervisor.cli.attach import attach  # noqa: PLC0415 - see above
    from supervisor.cli.viewer.detach import DetachKey  # noqa: PLC0415 - see above
    from supervisor.cli.viewer.sizing import Policy  # noqa: PLC0415 - see above
    from supervisor.cli.viewer.viewer import Wishes  # noqa: PLC0415 - see above

    try:
        key = DetachKey(detach_key)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--detach-key") from error
    place = places.place(name)
    policy = resize or getattr(places, "resize_policy", lambda _: None)(name) or "writer"
    how_ended = getattr(places, "how_ended", lambda _session, _epoch: None)
    attach(
        place,
        Wishes(
            key,
            read_only=read_only,
            steal=steal,
            resize=Policy(policy),
            exit_with_session=exit_with_session,
            how_ended=how_ended,
        ),
    )
