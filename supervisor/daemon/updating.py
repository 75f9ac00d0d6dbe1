"""Applying a fleet file that has changed: only what differs, each difference in the way that its key says."""

import contextlib
from collections.abc import Callable, Iterable

import msgspec

from config.diff import Plan
from config.model import Fleet, SessionSpec
from config.tables import Applied
from supervisor.control.messages import PlanReport
from supervisor.daemon.sessions import Sessions
from supervisor.lifecycle.errors import RefusedError
from supervisor.lifecycle.events import Event

_SINK_KEYS = ("log", "user", "io")


def narrowed(old: Fleet, new: Fleet, groups: Iterable[str]) -> Fleet:
    """The old fleet with only these groups as they are in the new one; all of them where none is named."""
    wanted = set(groups)
    if not wanted or "all" in wanted:
        return new
    sessions = {name: spec for name, spec in old.sessions.items() if spec.group not in wanted}
    sessions |= {name: spec for name, spec in new.sessions.items() if spec.group in wanted}
    return with_sessions(new, sessions)


def without_group(old: Fleet, group: str) -> Fleet:
    return with_sessions(old, {name: spec for name, spec in old.sessions.items() if spec.group != group})


def with_sessions(fleet: Fleet, sessions: dict[str, SessionSpec]) -> Fleet:
    return msgspec.structs.replace(fleet, sessions=sessions)


def report(request: int, old: Fleet, new: Fleet, plan: Plan) -> PlanReport:
    before, after = old.groups(), new.groups()
    changed = {old.sessions[change.name].group for change in plan.changed}
    changed |= {new.sessions[name].group for name in plan.added} | {old.sessions[name].group for name in plan.removed}
    return PlanReport(
        request,
        added=sorted(after.keys() - before.keys()),
        removed=sorted(before.keys() - after.keys()),
        changed=sorted(changed & before.keys() & after.keys()),
        sessions={change.name: {key.key: key.applied.value for key in change.keys} for change in plan.changed},
        kept=len(plan.kept),
    )


def apply(sessions: Sessions, new: Fleet, plan: Plan, warn: Callable[[str], None]) -> None:
    """What has to happen to the sessions has begun when this returns; none of it is waited for."""
    for key in plan.fleet:
        if key.applied is Applied.RESTART:
            warn(f"fleet.{key.key} changes when ringvisord itself is started again")
    planned = sessions.registry.apply(new, plan)
    for name in plan.added:
        if name not in sessions.placements:
            sessions.place(name)
    for change in plan.changed:
        if any(key.key.partition(".")[0] in _SINK_KEYS for key in change.keys):
            sessions.write_sink(new.sessions[change.name])
    for name, happening in planned:
        _feed(sessions, name, happening)


def _feed(sessions: Sessions, name: str, happening: Event) -> None:
    with contextlib.suppress(RefusedError):  # it is on its way there already
        sessions.feed(name, happening)
