"""The picture of the demo on a terminal. Pure: a look and what was done make lines that fit its size."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from supervisor.cli.ink import Ink
from supervisor.cli.top_table import TopRow, amount
from supervisor.control.messages import FleetStatus, SessionStatus
from supervisor.demo.look import Books

KEYS = (
    "j k select   a attach, C-\\ comes back   r restart   v verify   ? help   q quit",
    "kill -9:   w its worker   o the router   s the supervisor",
)
_NO_BOOKS = Books(0, 0, 0)
_ESCAPES = re.compile(r"\x1b\[\d+m")
HELP = (
    "j k, arrows  select a session",
    "a, Enter     put your terminal at it; C-\\ comes back, the program runs on",
    "r            restart it",
    "w            kill -9 its worker: a new one goes on in the same ring, and the",
    "             program notices nothing",
    "o            kill -9 the router: a new one goes on in the logs, to the byte",
    "s            kill -9 the supervisor: a new one knows all that was decided",
    "v            verify: every byte of the logs is read again, and compared with",
    "             what the ring still holds",
    "q            quit: the fleet is stopped in order, the books compared again",
    "",
    "WRITTEN and LOGGED count the present run, LOST all runs. Programs are never",
    "touched by w, o and s: look at PID.",
)


class View(NamedTuple):
    fleet: FleetStatus
    sessions: Sequence[SessionStatus]
    rates: Sequence[TopRow]  # in the same order
    books: Mapping[str, Books]
    selected: int
    below: Sequence[str]  # the news, the newest last; or the help
    note: str = ""  # instead of the first keys


def picture(view: View, ink: Ink, columns: int, height: int) -> list[str]:
    """Exactly `height` lines. Where there is no room for all, the table comes first, then the keys."""
    table = [
        _fleet(view)[:columns],
        ink(f"{_heading():<{columns}}"[:columns], "reverse"),
        *(_cut(_row(view, number, ink), columns) for number in range(len(view.sessions))),
    ][:height]
    keys = [line[:columns] for line in (view.note or KEYS[0], KEYS[1])][: height - len(table)]
    room = height - len(table) - len(keys)
    below = [line[:columns] for line in ("", *_last(view.below, room - 1))][:room]
    return [*table, *below, *[""] * (room - len(below)), *keys]


def _last(lines: Sequence[str], room: int) -> Sequence[str]:
    return lines[-room:] if room > 0 else ()


def _fleet(view: View) -> str:
    processes = ", ".join(f"{name} {pid or 'away'}" for name, pid in sorted(view.fleet.processes.items()))
    cpu, output = sum(one.cpu_percent for one in view.rates), sum(one.output_bytes_per_s for one in view.rates)
    return f"keeper {view.fleet.pid}, {processes}; cpu {cpu:.0f}%, out {amount(output)}/s"


def _heading() -> str:
    return (
        f"  {'NAME':<6}{'STATE':<9}{'PID':>8}{'WORKER':>8}{'RUNS':>5}{'OUT/s':>7}"
        f"{'WRITTEN':>14}{'LOGGED':>14}{'LOST':>5}"
    )


def _row(view: View, number: int, ink: Ink) -> str:
    session, rate = view.sessions[number], view.rates[number]
    books = view.books.get(session.name, _NO_BOOKS)
    mark = ink(">", "bold") if number == view.selected else " "
    return (
        f"{mark} {session.name:<6}{ink.state(f'{session.state:<9}')}"
        f"{session.pid or '-':>8}{session.worker_pid or '-':>8}{session.epoch:>5}{amount(rate.output_bytes_per_s):>7}"
        f"{books.written_bytes:>14,}{books.logged_bytes:>14,}{books.lost_bytes:>5}"
    )


def _cut(line: str, columns: int) -> str:
    """Colours are left out where they might be cut in two."""
    plain = _ESCAPES.sub("", line)
    return line if len(plain) <= columns else plain[:columns]
