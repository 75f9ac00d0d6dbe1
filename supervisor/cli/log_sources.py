"""Where sessions' logs lie: asked of the daemon, and where none answers, of the fleet file and of the sink files that
its router works from. A log outlives all of them: a name that is known to none is looked for in the log directory.
"""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.operating import Operator
from supervisor.cli.places import FleetPlace
from supervisor.cli.session_names import chosen
from supervisor.control.client import NobodyAnswersError, NotPermittedError
from supervisor.control.messages import SessionStatus

_SUFFIX = ".log"


class LogSource(NamedTuple):
    name: str
    group: str
    tags: tuple[str, ...]
    path: str  # empty: it has no log
    err_path: str  # empty: both streams are one

    def path_of(self, stream: str) -> str:
        return self.err_path if stream == "stderr" else self.path


class Found(NamedTuple):
    sources: list[LogSource]
    unknown: list[str]


def find_sources(operator: Operator, selectors: Sequence[str]) -> Found:
    try:
        report = operator.status(selectors)
        found = Found([_of_status(session) for session in report.sessions], report.unknown)
    except NotPermittedError:
        raise
    except NobodyAnswersError:
        if any(selector.startswith("state=") for selector in selectors):
            raise
        found = Found(*chosen(_without_daemon(operator), selectors))
    return _with_bare_logs(found, operator.fleet.log_dir)


def one_source(operator: Operator, name: str) -> LogSource:
    sources, _ = find_sources(operator, [name])
    match sources:
        case [only]:
            return only
        case []:
            raise Refusal(f"no such session: {name}; ringctl status lists them", Exit.NO_SUCH)
        case _:
            raise Refusal(f"{name} is {len(sources)} sessions: name one", Exit.USAGE)


def error_path(path: str) -> str:
    return path.removesuffix(_SUFFIX) + ".err.log"


def _of_status(session: SessionStatus) -> LogSource:
    path = session.log or ""
    err_path = error_path(path) if path and session.io == "pipe" else ""
    return LogSource(session.name, session.group, tuple(session.tags), path, err_path)


def _without_daemon(operator: Operator) -> list[LogSource]:
    """The sink files know best where a log is; the fleet file knows groups and tags, and outlives a reboot."""
    configured = {source.name: source for source in _configured(operator)}
    sunk = {source.name: source for source in _sunk(operator.fleet)}
    merged = dict(configured)
    for name, source in sunk.items():
        known = configured.get(name)
        merged[name] = source if known is None else source._replace(group=known.group, tags=known.tags)
    return list(merged.values())


def _configured(operator: Operator) -> Iterator[LogSource]:
    from config.connections import PipeIo  # noqa: PLC0415 - a slow import, for the case that nobody answers
    from config.errors import ConfigErrors  # noqa: PLC0415 - as above
    from config.load import load  # noqa: PLC0415 - as above

    try:
        fleet = load(operator.fleet.record.config or operator.wanted.config).fleet
    except ConfigErrors:
        return
    for spec in fleet.sessions.values():
        path = spec.log.path if spec.log is not None else ""
        err_path = error_path(path) if path and isinstance(spec.io, PipeIo) else ""
        yield LogSource(spec.name, spec.group, spec.tags, path, err_path)


def _sunk(place: FleetPlace) -> Iterator[LogSource]:
    from ipc.errors import IpcError  # noqa: PLC0415 - as above
    from ipc.sink_spec import read_sink, sessions_with_sinks  # noqa: PLC0415 - as above

    ring_dir = place.record.ring_dir
    try:
        names = sessions_with_sinks(ring_dir) if ring_dir else []
    except OSError:
        return
    for name in names:
        try:
            log = read_sink(ring_dir, name).log
        except (OSError, IpcError):
            continue
        if log is not None:
            err_path = f"{log.directory}/{log.err_name}" if log.err_name else ""
            yield LogSource(name, name, (), f"{log.directory}/{log.name}", err_path)


def _with_bare_logs(found: Found, log_dir: str) -> Found:
    """Sessions that are no more, by their logs."""
    sources, unknown = list(found.sources), []
    for name in found.unknown:
        path = f"{log_dir}/{name}{_SUFFIX}"
        if log_dir and "/" not in name and os.path.exists(path):
            err_path = error_path(path)
            sources.append(LogSource(name, name, (), path, err_path if os.path.exists(err_path) else ""))
        else:
            unknown.append(name)
    return Found(sources, unknown)
