"""What `verify` found, as lines and as JSON. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ipc.log_verify import LogReport
from ipc.verify import SessionReport
from supervisor.cli.ink import Ink


def document(session: str, reports: Mapping[str, SessionReport]) -> dict[str, Any]:
    """The terminal's output, or stdout, stands at the top; a pipe session's stderr has that shape below its name."""
    streams = {stream: _stream(report) for stream, report in reports.items()}
    main = streams.pop("stdout")
    ok = all(report.ok for report in reports.values())
    return {"version": 1, "session": session, **main, "ok": ok, **streams}


def _stream(report: SessionReport) -> dict[str, Any]:
    log = report.log
    return {
        "ok": report.ok,
        "bytes": log.count,
        "epochs": [
            {"epoch": epoch.epoch, "from": epoch.first, "to": epoch.end, "bytes": epoch.count} for epoch in log.epochs
        ],
        "gaps": [
            {"epoch": gap.epoch, "from": gap.start, "to": gap.end, "why": gap.why.name.lower()} for gap in log.gaps
        ],
        "parts": log.parts,
        "unchecked_bytes": log.unchecked_bytes,
        "foreign_bytes": log.foreign_bytes,
        "ring": {"compared_bytes": report.compared_bytes, "not_logged_bytes": report.ring_only_bytes},
        "problems": [*({"part": problem.part, "what": problem.what} for problem in log.problems), *_of_ring(report)],
    }


def _of_ring(report: SessionReport) -> Iterator[dict[str, str]]:
    return ({"part": "ring", "what": what} for what in report.problems)


def verify_lines(session: str, reports: Mapping[str, SessionReport], ink: Ink) -> list[str]:
    return [line for stream, report in reports.items() for line in _lines(_title(session, stream), report, ink)]


def _title(session: str, stream: str) -> str:
    return session if stream == "stdout" else f"{session} {stream}"


def _lines(title: str, report: SessionReport, ink: Ink) -> Iterator[str]:
    log = report.log
    verdict = ink("balanced", "green") if report.ok else ink("NOT BALANCED", "red")
    yield (
        f"{title}: {verdict}, {_count(log.count, 'byte')} in {_count(len(log.epochs), 'epoch')}, "
        f"{_count(len(log.gaps), 'gap')}, {_count(len(log.parts), 'part')}"
    )
    yield from _details(log)
    if report.compared_bytes or report.ring_only_bytes:
        yield f"  ring: {report.compared_bytes} bytes compared and equal"
    if report.ring_only_bytes:
        yield f"  ring: {report.ring_only_bytes} bytes are not in the log: on their way, or in a gap"
    for problem in log.problems:
        yield f"  {ink('problem', 'red')} {problem.part}: {problem.what}"
    for what in report.problems:
        yield f"  {ink('problem', 'red')} {what}"


def _details(log: LogReport) -> Iterator[str]:
    for epoch in log.epochs:
        yield f"  epoch {epoch.epoch}: {epoch.first} to {epoch.end}, {epoch.count} bytes"
    for gap in log.gaps:
        size = gap.end - gap.start
        yield f"  gap in epoch {gap.epoch}: {gap.start} to {gap.end}, {size} bytes, {gap.why.name.lower()}"
    if log.unchecked_bytes:
        yield f"  {log.unchecked_bytes} bytes at the end have no checksum yet"
    if log.foreign_bytes:
        yield f"  {log.foreign_bytes} bytes of the file are not the session's"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
