"""`status` as supervisorctl writes it: errors first, then name, state and description in columns. Pure."""

from collections.abc import Iterable, Sequence

from supervisor.cli.exits import Exit
from supervisor.cli.ink import PLAIN, Ink
from supervisor.cli.session_names import shown_name
from supervisor.control.messages import SessionStatus

_LEAST_NAME_WIDTH = 30
_DOWN = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})


def status_lines(sessions: Sequence[SessionStatus], unknown: Iterable[str] = (), ink: Ink = PLAIN) -> list[str]:
    names = [shown_name(session) for session in sessions]
    width = max([_LEAST_NAME_WIDTH, *map(len, names)]) + 3
    return [
        *(unknown_line(selector) for selector in unknown),
        *(
            f"{name:<{width}}{ink.state(f'{session.state:<10}')}{session.description}"
            for name, session in zip(names, sessions, strict=True)
        ),
    ]


def unknown_line(selector: str) -> str:
    what = "group" if selector.endswith((":*", ":")) else "process"
    return f"{selector}: ERROR (no such {what})"


def status_exit(sessions: Iterable[SessionStatus], unknown: Sequence[str]) -> Exit:
    """A session that is down outweighs a name that nobody has, as with supervisorctl."""
    if any(session.state in _DOWN for session in sessions):
        return Exit.NOT_UP
    return Exit.NO_SUCH if unknown else Exit.DONE
