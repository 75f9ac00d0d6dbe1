"""ringctl logs: what sessions wrote, from their files, with no daemon in between.

Without names, times or filters, and not on a terminal, it gives the bytes as they are.
"""

import contextlib
import re
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import click
import msgspec

from ipc.log_reader import LogSnapshot
from supervisor.cli.arguments import some_selectors
from supervisor.cli.exits import Exit
from supervisor.cli.ink import stdout_ink
from supervisor.cli.line_layout import LineLayout, as_json
from supervisor.cli.log_history import Span, open_log, stretches
from supervisor.cli.log_lines import Line, LineCutter, Stretch, interleaved, lines_of, matching
from supervisor.cli.log_sources import LogSource, find_sources
from supervisor.cli.log_tail import LogTail, follow
from supervisor.cli.moments import HOW, nanoseconds, parse_moment
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import complain

_FOLLOWED_LINES = 10


class _Log(NamedTuple):
    session: str
    stream: str
    path: str
    snapshot: LogSnapshot


class _Wish(NamedTuple):
    span: Span
    pattern: re.Pattern[bytes] | None
    last: int | None
    json: bool
    layout: LineLayout


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return nanoseconds(parse_moment(value, datetime.now().astimezone()))
    except ValueError:
        raise click.BadParameter(f"{value} is no point in time: write {HOW}") from None


def _pattern(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    try:
        re.compile(value or "")
    except re.error as error:
        raise click.BadParameter(f"{value} is no regular expression: {error}") from None
    return value


@click.command("logs", help="What sessions wrote. Several are interleaved by time, to about a second. Needs no daemon.")
@some_selectors
@click.option("-f", "--follow", "following", is_flag=True, help="Go on as they write; Ctrl-C ends it.")
@click.option("-n", "--lines", type=click.IntRange(0), metavar="N", help="The last N lines of each; 10 with -f.")
@click.option("--since", callback=_moment, metavar="TIME", help=f"From then on: {HOW}.")
@click.option("--until", callback=_moment, metavar="TIME", help="Up to then.")
@click.option("-g", "--grep", callback=_pattern, metavar="REGEX", help="Only lines in which this is found.")
@click.option("-i", "--ignore-case", is_flag=True, help="For --grep.")
@click.option("-t", "--timestamps", is_flag=True, help="Put the time before each line, to about a second.")
@click.option("--stream", type=click.Choice(["both", "stdout", "stderr"]), default="both", help="Of a pipe session.")
@click.option("--json", is_flag=True, help="Write JSON, an object a line.")
@pass_operator
def logs_command(
    operator: Operator,
    selectors: tuple[str, ...],
    *,
    following: bool,
    lines: int | None,
    since: int | None,
    until: int | None,
    grep: str | None,
    ignore_case: bool,
    timestamps: bool,
    stream: str,
    json: bool,
) -> Exit:
    found = find_sources(operator, selectors)
    pattern = re.compile(grep.encode(), re.IGNORECASE if ignore_case else 0) if grep else None
    everything = since is None and until is None
    last = _FOLLOWED_LINES if following and lines is None and everything else lines
    names = [source.name for source in found.sources] if len(found.sources) > 1 else []
    layout = LineLayout(names, stdout_ink(), timestamps, sys.stdout.isatty())
    wish = _Wish(Span(since or 0, 2**63 if until is None else until), pattern, last, json, layout)
    with contextlib.ExitStack() as stack:
        logs = [log for source in found.sources for log in _open(source, stream, stack)]
        _write_history(logs, wish)
        if following and logs:
            _follow(logs, wish, stack)
    return _verdict(found.sources, found.unknown)


def _verdict(sources: Sequence[LogSource], unknown: Sequence[str]) -> Exit:
    if unknown:
        complain(f"no such session: {', '.join(unknown)}; ringctl status lists them")
        return Exit.NO_SUCH
    without = [source.name for source in sources if not source.path]
    if without:
        complain(f"{', '.join(without)} keeps no log: set log in the fleet file")
        return Exit.FAILED
    return Exit.DONE


def _open(source: LogSource, stream: str, stack: contextlib.ExitStack) -> Iterator[_Log]:
    """A session that has never written has a log all the same: it is empty."""
    for name in ("stdout", "stderr") if stream == "both" else (stream,):
        path = source.path_of(name)
        if path:
            with contextlib.suppress(FileNotFoundError):
                yield _Log(source.name, name, path, stack.enter_context(open_log(path)))


def _write_history(logs: Sequence[_Log], wish: _Wish) -> None:
    _write(interleaved(_history(log, wish) for log in logs), wish, at_once=False)


def _history(log: _Log, wish: _Wish) -> Iterable[Line]:
    scanned = wish.last if wish.pattern is None else None
    lines = lines_of(log.session, log.stream, stretches(log.snapshot, wish.span, scanned))
    found = matching(lines, wish.pattern)
    return found if wish.last is None else deque(found, wish.last)


def _follow(logs: Sequence[_Log], wish: _Wish, stack: contextlib.ExitStack) -> None:
    tails = [LogTail(log.path, log.snapshot) for log in logs]
    for tail in tails:
        stack.callback(tail.close)
    with contextlib.suppress(KeyboardInterrupt):
        _write(matching(_new_lines(logs, tails, wish), wish.pattern), wish, at_once=True)


def _new_lines(logs: Sequence[_Log], tails: Sequence[LogTail], wish: _Wish) -> Iterator[Line]:
    """Bytes that go to a file or a program as they are need not wait for the end of their line."""
    layout = wish.layout
    whole = len(logs) > 1 or wish.json or wish.pattern is not None or layout.timestamps or layout.for_terminal
    cutters = [LineCutter(log.session, log.stream) for log in logs]
    offsets = [0] * len(logs)
    for number, piece in follow(tails):
        stretch = Stretch(time.time_ns(), 0, offsets[number], piece)
        offsets[number] += len(piece)
        if whole:
            yield from cutters[number].feed(stretch)
        else:
            yield Line(logs[number].session, logs[number].stream, stretch.time_ns, 0, stretch.offset, piece)


def _write(lines: Iterable[Line], wish: _Wish, *, at_once: bool) -> None:
    out = sys.stdout.buffer
    for line in lines:
        out.write(msgspec.json.encode(as_json(line)) + b"\n" if wish.json else wish.layout.render(line))
        if at_once:
            out.flush()
    out.flush()
