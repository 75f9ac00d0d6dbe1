"""ringctl top: live on a terminal, once elsewhere. CPU and memory have no events: they are sampled."""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence

import click

from supervisor.cli.arguments import duration, json_option, selectors
from supervisor.cli.exits import Exit
from supervisor.cli.ink import stdout_ink
from supervisor.cli.live_screen import LiveScreen, live_screen
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import write_json, write_lines
from supervisor.cli.process_usage import look, usage_of
from supervisor.cli.ring_lag import RingLags
from supervisor.cli.top_table import Order, Sample, ordered, rows_between, top_lines
from supervisor.control.client import NobodyAnswersError, NotPermittedError

_ONCE_S = 0.5
_KEYS = {"n": Order.NAME, "c": Order.CPU, "m": Order.MEMORY, "o": Order.OUTPUT, "r": Order.RESTARTS}
_STEPS = {"j": 1, "\x1b[B": 1, "k": -1, "\x1b[A": -1, " ": 20, "\x1b[6~": 20, "b": -20, "\x1b[5~": -20}
_FOOTER = "q quit   sort by: n name  c cpu  m memory  o output  r restarts   j k scroll"


@click.command("top", help="A live table of sessions: CPU and memory of their trees, output, ring lag, restarts.")
@selectors
@click.option("--once", is_flag=True, help="Print the table once. So it is where there is no terminal.")
@click.option("--interval", callback=duration, metavar="TIME", help="Between two looks; default 2s, with --once 500ms.")
@click.option("--sort", type=click.Choice([order.value for order in Order]), default="name", show_default=True)
@json_option
@pass_operator
def top_command(
    operator: Operator, selectors: tuple[str, ...], *, once: bool, interval: float | None, sort: str, as_json: bool
) -> Exit:
    def look_now() -> Sample:
        return _sample(operator, selectors, lags)

    lags = RingLags(operator.fleet.record.ring_dir)
    if once or as_json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        return _once(look_now, Order(sort), _ONCE_S if interval is None else interval, as_json=as_json)
    first = look_now()
    with contextlib.suppress(KeyboardInterrupt), live_screen() as screen:
        _live(screen, look_now, first, Order(sort), max(0.1, 2.0 if interval is None else interval))
    return Exit.DONE


def _sample(operator: Operator, selectors: Sequence[str], lags: RingLags) -> Sample:
    report = operator.status(selectors)
    usage = usage_of(look(), [session.pid for session in report.sessions if session.pid])
    lag_bytes = {session.name: lags.read_bytes(session.name) for session in report.sessions}
    return Sample(time.monotonic(), report.fleet, report.sessions, usage, lag_bytes)


def _once(look_now: Callable[[], Sample], order: Order, interval_s: float, *, as_json: bool) -> Exit:
    before = look_now()
    time.sleep(interval_s)
    now = look_now()
    rows = ordered(rows_between(before, now), order)
    if as_json:
        write_json(fleet=now.fleet, sessions=rows)
    else:
        write_lines(top_lines(now.fleet, rows, stdout_ink()))
    return Exit.DONE


def _live(screen: LiveScreen, look_now: Callable[[], Sample], before: Sample, order: Order, interval_s: float) -> None:
    """A supervisor that is away for a moment leaves the last picture standing, and says so."""
    now, first, note = before, 0, ""
    while True:
        columns, height = screen.size()
        rows = ordered(rows_between(before, now), order)
        room = max(1, height - 3)
        first = max(0, min(first, len(rows) - room))
        lines = top_lines(now.fleet, rows, stdout_ink(), width=columns, shown=slice(first, first + room))
        screen.draw([*lines, (note or _FOOTER)[:columns]])
        key = screen.wait_key(interval_s)
        if key in {"q", "Q"}:
            return
        first = 0 if key in _KEYS else first + _STEPS.get(key, 0)
        order = _KEYS.get(key, order)
        if not key:
            try:
                before, now, note = now, look_now(), ""
            except NotPermittedError:
                raise
            except NobodyAnswersError as error:
                note = f"no answer, trying again, q quits: {error}"
