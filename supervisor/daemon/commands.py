"""What clients ask for: one small method for each request. A refusal is an answer, never an exception to the client."""

import signal
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, assert_never

import msgspec

from config.diff import Plan, diff
from config.errors import ConfigErrors
from config.model import Fleet as FleetSpec
from ipc.router_messages import LogOrder as RouterLogOrder
from supervisor.control import messages as control
from supervisor.control.server import Client
from supervisor.daemon import updating
from supervisor.daemon.adhoc import AdHoc
from supervisor.daemon.events import EventLog
from supervisor.daemon.fleet_file import FleetFile
from supervisor.daemon.placement import shown_name
from supervisor.daemon.regrouping import NotDoneError, Regrouping
from supervisor.daemon.router_link import RouterLink
from supervisor.daemon.sessions import Sessions
from supervisor.daemon.status import StatusRows
from supervisor.daemon.waiters import Awaited, Fate, Waiter
from supervisor.lifecycle.errors import RefusedError
from supervisor.lifecycle.events import RestartRequested, StartRequested, StopRequested
from supervisor.lifecycle.explain import explain
from supervisor.lifecycle.journal import Decision
from supervisor.lifecycle.session import Session
from supervisor.upgrade.operation import UpgradeRefusedError, Upgrading

_NO_SUCH = "no such process"
_ENDING = "already shutting down"


class Fleet(Protocol):
    """What the commands need of the daemon besides its sessions."""

    def fleet_status(self) -> control.FleetStatus: ...
    def decisions(self, session: str) -> tuple[Decision, ...]: ...
    @property
    def fleet(self) -> FleetSpec: ...
    def replace(self, new: FleetSpec) -> Plan: ...
    def shut_down(self) -> None: ...
    def is_ending(self) -> bool: ...


class Commands:
    def __init__(
        self,
        fleet: Fleet,
        sessions: Sessions,
        events: EventLog,
        rows: StatusRows,
        file: FleetFile,
        router: RouterLink,
        adhoc: AdHoc,
        upgrading: Upgrading,
    ) -> None:
        self._fleet = fleet
        self._sessions = sessions
        self._events = events
        self._rows = rows
        self._file = file
        self._router = router
        self._adhoc = adhoc
        self._upgrading = upgrading
        self._regrouping = Regrouping(fleet, sessions, file)

    def serve(self, client: Client, request: control.Request) -> None:
        if isinstance(request, control.Hello):
            return
        try:
            self._carry_out(client, request)
        except ConfigErrors as errors:
            client.tell(control.Failed(request.id, str(errors), "invalid_config"))
        except NotDoneError as error:
            client.tell(control.Failed(request.id, str(error), error.code))
        except (RefusedError, UpgradeRefusedError) as error:
            client.tell(control.Failed(request.id, str(error)))
        except KeyError as error:
            client.tell(control.Failed(request.id, f"{_NO_SUCH}: {error.args[0]}", "no_such_session"))

    def _carry_out(self, client: Client, request: control.Request) -> None:
        match request:
            case control.Hello():
                pass
            case control.Act():
                self._act(client, request)
            case control.SendSignal():
                self._send_signal(client, request)
            case control.GetStatus():
                client.tell(self._status(request))
            case control.Reread():
                client.tell(self._reread(request))
            case control.Update(groups=groups):
                new = updating.narrowed(self._fleet.fleet, self._file.read(), groups)
                self._regrouping.replace(client, request.id, new, wait=request.wait)
            case control.Avail():
                client.tell(self._avail(request))
            case control.AddGroup(group=group):
                self._regrouping.add(client, request.id, group)
            case control.RemoveGroup(group=group):
                self._regrouping.remove(client, request.id, group)
            case control.LogOrder():
                self._log_order(client, request)
            case control.Inspect(session=name):
                client.tell(control.Facts(request.id, self._inspect(name)))
            case control.Explain(session=name):
                client.tell(control.Facts(request.id, self._explain(name)))
            case control.Scale(table=table, instances=instances):
                self._regrouping.scale(client, request.id, table, instances, wait=request.wait)
            case control.RunProgram():
                self._adhoc.run(client, request)
            case control.EndInput(session=name):
                self._sessions.end_input(name)
                self._tell_outcome(client, request.id, name, Fate("asked", ok=True))
                client.tell(control.Done(request.id))
            case control.AwaitEnd():
                self._adhoc.await_end(client, request)
            case control.FollowEvents():
                self._follow(client, request)
            case control.Reload():
                self._regrouping.replace(client, request.id, self._file.read(), wait=False)
            case control.Upgrade(dry_run=dry_run):
                self._upgrading.begin(client, request.id, dry_run=dry_run)
            case control.AwaitUpgrade(known=known, begun_since_s=since_s):
                self._upgrading.join(client, request.id, known, since_s)
            case control.Shutdown():
                self._shut_down(client, request)
            case _:
                assert_never(request)

    # --- acting ---

    def _act(self, client: Client, request: control.Act) -> None:
        if self._fleet.is_ending() and request.verb is not control.Verb.STOP:
            raise NotDoneError(_ENDING, "already_shutting_down")
        names = self._select(client, request.id, request.selectors)
        match request.verb:
            case control.Verb.START:
                self._ask_each(client, request, names, StartRequested, Awaited.STARTED)
            case control.Verb.STOP:
                self._ask_each(client, request, names[::-1], StopRequested, Awaited.STOPPED)
            case control.Verb.RESTART:
                self._ask_each(client, request, names, RestartRequested, Awaited.STARTED)
            case _:
                assert_never(request.verb)

    def _ask_each(
        self,
        client: Client,
        request: control.Act,
        names: list[str],
        event: Callable[[], StartRequested | StopRequested | RestartRequested],
        awaited: Awaited,
    ) -> None:
        asked = set()
        for name in names:
            try:
                self._sessions.feed(name, event())
                asked.add(name)
            except RefusedError as refusal:
                self._tell_outcome(client, request.id, name, Fate(str(refusal), ok=_is_harmless(str(refusal))))
        if not request.wait:
            for name in asked:
                self._tell_outcome(client, request.id, name, Fate("asked", ok=True))
            client.tell(control.Done(request.id))
            return
        waiter = Waiter(
            awaited,
            lambda name, fate: self._tell_outcome(client, request.id, name, fate),
            asked,
            lambda: client.tell(control.Done(request.id)),
        )
        self._sessions.waiters.add(waiter)
        for name in list(asked):
            self._sessions.waiters.note(name, self._sessions.registry.sessions.get(name))

    def _send_signal(self, client: Client, request: control.SendSignal) -> None:
        signal.Signals(request.signum)
        for name in self._select(client, request.id, request.selectors):
            runs = self._sessions.registry.sessions[name].pid != 0
            if runs:
                self._sessions.send_signal(name, request.signum)
            self._tell_outcome(client, request.id, name, Fate("signalled" if runs else "not running", ok=runs))
        client.tell(control.Done(request.id))

    def _log_order(self, client: Client, request: control.LogOrder) -> None:
        names = self._select(client, request.id, request.selectors)
        self._router.tell(RouterLogOrder(self._router.next_id(), request.order, names))
        for name in names:
            self._tell_outcome(
                client, request.id, name, Fate("cleared" if request.order == "clear" else "asked", ok=True)
            )
        client.tell(control.Done(request.id))

    def _shut_down(self, client: Client, request: control.Shutdown) -> None:
        if self._fleet.is_ending():
            client.tell(control.Failed(request.id, _ENDING, "already_shutting_down"))
            return
        client.tell(control.Done(request.id))
        self._fleet.shut_down()

    def _select(self, client: Client, request: int, selectors: list[str]) -> list[str]:
        """In start order of each selector; what is not there is told at once."""
        selection = self._sessions.registry.select(selectors)
        for missing in selection.not_found:
            client.tell(control.Outcome(request, missing.selector, missing.why, ok=False))
        return list(selection.names)

    def _tell_outcome(self, client: Client, request: int, name: str, fate: Fate) -> None:
        spec = self._sessions.registry.specs.get(name)
        client.tell(control.Outcome(request, shown_name(spec) if spec else name, fate.result, fate.ok))

    # --- reading ---

    def _status(self, request: control.GetStatus) -> control.StatusReport:
        registry, now_s = self._sessions.registry, time.monotonic()
        unknown: list[str] = []
        if request.selectors:
            selection = registry.select(request.selectors)
            names: Iterable[str] = selection.names
            unknown += [missing.selector for missing in selection.not_found]
        else:
            names = sorted(registry.sessions, key=_by_group(registry.specs))
        rows = [
            self._rows.row(registry.specs[name], registry.sessions[name], self._sessions.placements[name], now_s)
            for name in names
        ]
        return control.StatusReport(request.id, self._fleet.fleet_status(), rows, unknown)

    def _reread(self, request: control.Reread) -> control.PlanReport:
        old, new = self._fleet.fleet, self._file.read()
        return updating.report(request.id, old, new, diff(old, new))

    def _avail(self, request: control.Avail) -> control.AvailReport:
        running = self._sessions.registry.sessions
        rows = [
            control.AvailRow(shown_name(spec), name in running, spec.autostart, spec.priority)
            for name, spec in self._file.read().sessions.items()
        ]
        return control.AvailReport(request.id, rows)

    def _inspect(self, name: str) -> dict[str, Any]:
        registry = self._sessions.registry
        session, spec = registry.sessions[name], registry.specs[name]
        gauge = self._rows.gauges.read(name)
        return {
            "session": msgspec.to_builtins(session),
            "spec": msgspec.to_builtins(spec),
            "ring": gauge._asdict(),
            "slot": self._sessions.placements[name].slot,
            "events": [occurrence._asdict() for occurrence in self._events.of_session(name)],
        }

    def _explain(self, name: str) -> dict[str, Any]:
        session: Session = self._sessions.registry.sessions[name]
        told = explain(session, self._fleet.decisions(name), time.monotonic())
        return {"session": name, "told": [{"time": one.wall_s, "text": one.text} for one in told]}

    def _follow(self, client: Client, request: control.FollowEvents) -> None:
        for occurrence in self._events.last(request.last):
            client.tell(occurrence.told_to(request.id))
        if request.follow:
            self._events.subscribe(client, request.id)
        else:
            client.tell(control.Done(request.id))


def _is_harmless(refusal: str) -> bool:
    """As with supervisorctl: what is so already is no failure."""
    return refusal in {"already started", "not running"}


def _by_group(specs: Any) -> Callable[[str], tuple[str, str]]:
    return lambda name: (specs[name].group, name)
