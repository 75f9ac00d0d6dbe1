"""A session as `ringctl status` shows it. Pure but for what is passed in."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, assert_never

import msgspec

from config.connections import PipeIo, PtyIo, SshIo
from config.model import SessionSpec
from supervisor.control.messages import Containment, SessionStatus
from supervisor.daemon.placement import Placement
from supervisor.daemon.ring_gauge import Gauge, RingGauges
from supervisor.lifecycle.reasons import in_words
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import SessionState

# Until limits are enforced: a process tree is found by its parents, and killed.
CONTAINMENT = Containment(kill="tree", memory="none", cpu="none", pids="none")


def iso(wall_ns: int) -> str | None:
    if not wall_ns:
        return None
    moment = datetime.fromtimestamp(wall_ns / 1e9, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


_started_at = lru_cache(maxsize=4096)(iso)  # each look at a thousand sessions finds the same thousand starts


class _Kept(NamedTuple):
    session: Session
    spec: SessionSpec
    facts: tuple[object, ...]  # of its placement
    row: SessionStatus


class StatusRows:
    """A row changes when its session does, but for clock and counters: all else of a thousand rows is kept."""

    def __init__(self, gauges: RingGauges) -> None:
        self.gauges = gauges
        self._kept: dict[str, _Kept] = {}

    def row(self, spec: SessionSpec, session: Session, placement: Placement, now_s: float) -> SessionStatus:
        gauge = self.gauges.read(spec.name)
        times_ns = (placement.started_wall_ns, placement.ended_wall_ns)
        facts = (placement.worker_pid, placement.worker_hangs, *times_ns, placement.broken)
        kept = self._kept.get(spec.name)
        if kept is None or kept.session is not session or kept.spec is not spec or kept.facts != facts:
            row = session_status(spec, session, placement, gauge, now_s)
            self._kept[spec.name] = _Kept(session, spec, facts, row)
            return row
        uptime_s = _uptime_s(session, now_s)
        return msgspec.structs.replace(
            kept.row,
            uptime_s=uptime_s,
            offset=_offset(session, gauge),
            lost_bytes=gauge.lost_bytes,
            description=kept.row.description if uptime_s is None else description(session, placement, uptime_s),
        )

    def forget(self, name: str) -> None:
        """Also its ring, which is memory as long as somebody has it mapped."""
        self._kept.pop(name, None)
        self.gauges.forget(name)


def session_status(
    spec: SessionSpec, session: Session, placement: Placement, gauge: Gauge, now_s: float
) -> SessionStatus:
    uptime_s = _uptime_s(session, now_s)
    return SessionStatus(
        name=spec.name,
        group=spec.group,
        tags=list(spec.tags),
        state=session.state.value,
        desired=session.desired.value,
        pid=session.pid,
        worker_pid=placement.worker_pid if session.run is not None else 0,
        epoch=session.epoch,
        started_at=_started_at(placement.started_wall_ns),
        uptime_s=uptime_s,
        restarts=session.restarts,
        exit=None if session.exit is None else msgspec.to_builtins(session.exit),
        io=_io(spec),
        offset=_offset(session, gauge),
        lost_bytes=gauge.lost_bytes,
        health="degraded" if placement.worker_hangs else "none",
        containment=CONTAINMENT,
        log=spec.log.path if spec.log else None,
        description=description(session, placement, uptime_s),
    )


def _uptime_s(session: Session, now_s: float) -> float | None:
    return max(0.0, now_s - session.run.begun_s) if session.run is not None and session.pid else None


def _offset(session: Session, gauge: Gauge) -> int:
    return gauge.offset if gauge.epoch == session.epoch else 0


def _io(spec: SessionSpec) -> str:
    match spec.io:
        case PtyIo():
            return "pty"
        case PipeIo():
            return "pipe"
        case SshIo():
            return "ssh"
        case _:
            assert_never(spec.io)


def description(session: Session, placement: Placement, uptime_s: float | None) -> str:
    """supervisorctl's third column."""
    match session.state:
        case SessionState.RUNNING:
            return f"pid {session.pid}, uptime {_clock(int(uptime_s or 0))}"
        case SessionState.FATAL | SessionState.BACKOFF:
            return placement.broken or (in_words(session.exit) if session.exit else "")
        case SessionState.STOPPED | SessionState.EXITED:
            if not placement.ended_wall_ns:
                return "Not started"
            ended = datetime.fromtimestamp(placement.ended_wall_ns / 1e9).astimezone()
            return ended.strftime("%b %d %I:%M %p")
        case _:
            return ""


def _clock(seconds: int) -> str:
    """As supervisord writes an uptime: days in words, the rest as a clock."""
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return clock if not days else f"{days} day{'s' if days > 1 else ''}, {clock}"


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
