"""What this code speaks, and whether that is what another release speaks. Pure.

While an upgrade is under way both releases are at work: each protocol and layout is understood in its present version
and in the one before it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ipc import board, log_index, ring_layout, router_messages, sink_spec, worker_messages
from supervisor.control import messages as control
from supervisor.keeper import messages as keeper
from supervisor.keeper import records
from supervisor.lifecycle import journal


class Span(NamedTuple):
    oldest: int
    newest: int


SPEAKS = {
    "ring": Span(ring_layout.OLDEST, ring_layout.VERSION),
    "board": Span(board.VERSION, board.VERSION),
    "sink file": Span(sink_spec.VERSION, sink_spec.VERSION),
    "log index": Span(log_index.VERSION, log_index.VERSION),
    "input socket": Span(worker_messages.OLDEST, worker_messages.VERSION),
    "router socket": Span(router_messages.OLDEST, router_messages.VERSION),
    "keeper channel": Span(keeper.OLDEST, keeper.VERSION),
    "keeper's records": Span(records.VERSION, records.VERSION),
    "control socket": Span(control.OLDEST, control.VERSION),
    "journal": Span(journal.VERSION, journal.VERSION),
}


def spoken(speaks: Mapping[str, Span] = SPEAKS) -> dict[str, int]:
    return {name: span.newest for name, span in speaks.items()}


def misunderstandings(running: Mapping[str, int], installed: Mapping[str, Span] = SPEAKS) -> list[str]:
    """One line for each thing of the running code that the installed code would not understand."""
    return [
        f"{name}: version {version} is in use, the installed code understands {_in_words(installed[name])}"
        for name, version in running.items()
        if name in installed and not installed[name].oldest <= version <= installed[name].newest
    ]


def _in_words(span: Span) -> str:
    return f"{span.oldest}" if span.oldest == span.newest else f"{span.oldest} to {span.newest}"
