"""A session as `ringctl status` shows it. Pure but for what is passed in."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import assert_never

import msgspec

from config.connections import PipeIo, PtyIo, SshIo
from config.model import SessionSpec
from supervisor.control.messages import Containment, SessionStatus
from supervisor.daemon.placement import Placement
from supervisor.daemon.ring_gauge import Gauge
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


def session_status(
    spec: SessionSpec, session: Session, placement: Placement, gauge: Gauge, now_s: float
) -> SessionStatus:
    pid = session.pid
    uptime_s = max(0.0, now_s - session.run.begun_s) if session.run is not None and pid else None
    return SessionStatus(
        name=spec.name,
        group=spec.group,
        tags=list(spec.tags),
        state=session.state.value,
        desired=session.desired.value,
        pid=pid,
        worker_pid=placement.worker_pid if session.run is not None else 0,
        epoch=session.epoch,
        started_at=_started_at(placement.started_wall_ns),
        uptime_s=uptime_s,
        restarts=session.restarts,
        exit=None if session.exit is None else msgspec.to_builtins(session.exit),
        io=_io(spec),
        offset=gauge.offset if gauge.epoch == session.epoch else 0,
        lost_bytes=gauge.lost_bytes,
        health="none",
        containment=CONTAINMENT,
        log=spec.log.path if spec.log else None,
        description=description(session, placement, uptime_s),
    )


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
