"""Orders that change which sessions there are: update, add, remove, scale. Answered by group, in supervisorctl's words.

What was asked for begins at once; the answers come when the sessions that had to stop or start again have done so,
unless the client does not want to wait.
"""

from collections.abc import Callable
from typing import Protocol

from config.diff import Plan
from config.model import Fleet
from config.tables import Applied
from supervisor.control import messages as control
from supervisor.control.server import Client
from supervisor.daemon import updating
from supervisor.daemon.fleet_file import FleetFile
from supervisor.daemon.sessions import Sessions
from supervisor.daemon.waiters import Awaited, Fate, Waiter
from supervisor.lifecycle.states import SessionState

_AT_REST = {SessionState.STOPPED, SessionState.EXITED, SessionState.FATAL}


class NotDoneError(Exception):
    """The order cannot be carried out as things are; `code` says it to programs."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.code = code


class InForce(Protocol):
    @property
    def fleet(self) -> Fleet: ...
    def replace(self, new: Fleet) -> Plan: ...


class Regrouping:
    def __init__(self, applied: InForce, sessions: Sessions, file: FleetFile) -> None:
        self._applied = applied
        self._sessions = sessions
        self._file = file

    def add(self, client: Client, request: int, group: str) -> None:
        old, new = self._applied.fleet, self._file.read()
        if group in old.groups():
            raise NotDoneError("process group already active", "already_active")
        if group not in new.groups():
            raise NotDoneError(f"no such process/group: {group}", "no_such_group")
        self.replace(client, request, updating.narrowed(old, new, [group]), wait=False)

    def remove(self, client: Client, request: int, group: str) -> None:
        old = self._applied.fleet
        members = old.groups().get(group)
        if members is None:
            raise NotDoneError(f"no such process/group: {group}", "no_such_group")
        states = [self._sessions.registry.sessions[name].state for name in members]
        if any(state not in _AT_REST for state in states):
            raise NotDoneError(f"process/group still running: {group}", "still_running")
        self._file.adhoc.withdraw(members)
        self.replace(client, request, updating.without_group(old, group), wait=False)
        self._file.adhoc.drop(members)

    def scale(self, client: Client, request: int, table: str, instances: int, *, wait: bool) -> None:
        old = self._applied.fleet
        if not any(spec.table == table for spec in old.sessions.values()):
            raise NotDoneError(f"no such session table: {table}", "no_such_table")
        new = self._file.scaled(table, instances)
        sessions = {name: spec for name, spec in old.sessions.items() if spec.table != table}
        sessions |= {name: spec for name, spec in new.sessions.items() if spec.table == table}
        self.replace(client, request, updating.with_sessions(old, sessions), wait=wait)

    def replace(self, client: Client, request: int, new: Fleet, *, wait: bool) -> None:
        old = self._applied.fleet
        plan = self._applied.replace(new)
        report = updating.report(request, old, new, plan)
        client.tell(report)
        restarted = {change.name for change in plan.changed if change.applied is Applied.RESTART}
        stopped = {name for name in plan.removed if name in self._sessions.registry.sessions} if wait else set()

        def done() -> None:
            _tell_groups(client, report)
            client.tell(control.Done(request))

        def then_restarted() -> None:
            self._wait(Awaited.STARTED, restarted if wait else set(), done)

        self._wait(Awaited.STOPPED, stopped, then_restarted)

    def _wait(self, awaited: Awaited, names: set[str], done: Callable[[], None]) -> None:
        waiters = self._sessions.waiters
        waiters.add(Waiter(awaited, _told_by_group, set(names), done))
        for name in names:
            waiters.note(name, self._sessions.registry.sessions.get(name))


def _told_by_group(_name: str, _fate: Fate) -> None:
    pass


def _tell_groups(client: Client, report: control.PlanReport) -> None:
    for group in report.removed:
        client.tell(control.Outcome(report.id, group, "stopped", ok=True))
        client.tell(control.Outcome(report.id, group, "removed process group", ok=True))
    for group in report.changed:
        client.tell(control.Outcome(report.id, group, "updated process group", ok=True))
    for group in report.added:
        client.tell(control.Outcome(report.id, group, "added process group", ok=True))
