"""ringctl verify: the bytes themselves are read again; no daemon, no counters."""

import os
from collections.abc import Iterator

import click

from ipc.frames import Kind
from ipc.verify import SessionReport, verify_session
from supervisor.cli.arguments import json_option, some_selectors
from supervisor.cli.exits import Exit
from supervisor.cli.ink import stdout_ink
from supervisor.cli.log_sources import LogSource, find_sources
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import complain, write_json_line, write_lines
from supervisor.cli.verify_report import document, verify_lines

_KINDS = {"stdout": Kind.OUT, "stderr": Kind.ERR}


@click.command(
    "verify", help="Re-read logs and rings: are all bytes there, once, and every loss stated? Needs no daemon."
)
@some_selectors
@json_option
@pass_operator
def verify_command(operator: Operator, selectors: tuple[str, ...], *, as_json: bool) -> Exit:
    """JSON: an object a session, one a line."""
    found = find_sources(operator, selectors)
    ring_dir = operator.fleet.record.ring_dir or None
    wrong, unlogged = [], []
    for source in found.sources:
        reports = dict(_verify(source, ring_dir))
        if not reports:
            unlogged.append(source.name)
            continue
        if as_json:
            write_json_line(document(source.name, reports))
        else:
            write_lines(verify_lines(source.name, reports, stdout_ink()))
        if not all(report.ok for report in reports.values()):
            wrong.append(source.name)
    return _verdict(wrong, unlogged, found.unknown)


def _verify(source: LogSource, ring_dir: str | None) -> Iterator[tuple[str, SessionReport]]:
    for stream, kind in _KINDS.items():
        path = source.path_of(stream)
        if path and os.path.isdir(os.path.dirname(path)):
            yield stream, verify_session(ring_dir, source.name, *os.path.split(path), kind)


def _verdict(wrong: list[str], unlogged: list[str], unknown: list[str]) -> Exit:
    if wrong:
        complain(f"the books of {', '.join(wrong)} do not balance: what is listed as a problem was changed by somebody")
        return Exit.FAILED
    if unlogged:
        complain(f"{', '.join(unlogged)} keeps no log: there is nothing to verify")
        return Exit.FAILED
    if unknown:
        complain(f"no such session: {', '.join(unknown)}; ringctl status lists them")
        return Exit.NO_SUCH
    return Exit.DONE
