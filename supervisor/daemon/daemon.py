"""The supervisor: one loop over the keeper's channel, the control socket and the nearest deadline.

It begins by asking the keeper what there is. Whoever of the sessions the keeper knows is adopted as it stands; then
the fleet file's sessions are placed and, where they are wanted, started. Crash it at any instruction: the next one
finds the keeper's table, the journal and the fleet as it was applied, and goes on.
"""

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping

from config.diff import Plan, diff
from config.errors import ConfigErrors
from config.model import Fleet
from ipc.caps import Cap, write_cap
from ipc.router_messages import LogOrder
from supervisor.control import messages as control
from supervisor.control.server import ControlServer
from supervisor.daemon import updating
from supervisor.daemon.adhoc import AdHoc
from supervisor.daemon.commands import Commands
from supervisor.daemon.ending import Ending
from supervisor.daemon.events import EventLog, Occurrence
from supervisor.daemon.fleet_file import FleetFile
from supervisor.daemon.journal_file import JournalFile
from supervisor.daemon.keeper_link import KeeperLink
from supervisor.daemon.killing import Killing
from supervisor.daemon.notify import Notify
from supervisor.daemon.past_epochs import past_epoch
from supervisor.daemon.process_tree import parent
from supervisor.daemon.ring_gauge import RingGauges
from supervisor.daemon.router_link import RouterLink
from supervisor.daemon.sessions import Sessions
from supervisor.daemon.status import StatusRows, iso
from supervisor.daemon.strays import Strays
from supervisor.fleet_needs import rings_max_bytes
from supervisor.fleet_place import FleetPlace
from supervisor.keeper import messages as keeper
from supervisor.keeper.loop import Loop
from supervisor.keeper.wakeup import ENDING
from supervisor.lifecycle import events as event
from supervisor.lifecycle.errors import RefusedError
from supervisor.lifecycle.journal import Decision
from supervisor.lifecycle.registry import AUTOSTART, Registry
from supervisor.lifecycle.replay import Recovered
from supervisor.lifecycle.rules import rules_of
from supervisor.lifecycle.session import Session, reborn
from supervisor.lifecycle.states import Desired, Output, Program, SessionState
from supervisor.release import RELEASE
from supervisor.upgrade.operation import Upgrading

_PROGRAMS = {
    "none": Program.GONE,
    "preparing": Program.ASKED,
    "released": Program.ASKED,
    "running": Program.ALIVE,
    "gone": Program.GONE,
}
Report = Callable[[str], None]


class Daemon:
    def __init__(
        self,
        place: FleetPlace,
        channel: socket.socket,
        listener: socket.socket,
        *,
        own_env: Mapping[str, str],
        boot_id: str,
        report: Report,
        record: Callable[[Occurrence], None],
        keeper_speaks: int = keeper.VERSION,
    ) -> None:
        self._place = place
        self._boot_id = boot_id
        self._report = report
        self._started_ns = time.time_ns()
        self._keeper_pid = os.getppid()
        self._keeper_speaks = keeper_speaks
        self._services: dict[str, int] = {}
        self._fault: Exception | None = None
        self._loop = Loop()
        self._file = FleetFile(place.config, place.runtime_dir, place.state_dir)
        self._fleet = self._file.in_force()
        self._journal = JournalFile(f"{place.state_dir}/journal", boot_id, report)
        self._events = EventLog(time.time_ns, lambda occurrence: self._happened(occurrence, record))
        self._rows = StatusRows(RingGauges(place.ring_dir))
        self._link = KeeperLink(channel, self._loop, self._heard)
        self._notify = Notify(own_env, self._loop, lambda words: self._link.send(keeper.Tell(words)), self._in_words)
        self._router = RouterLink(place.runtime_dir, self._loop, report)
        self._killing = Killing(self._loop, lambda: self._keeper_pid, self._own_pids)
        self._registry = Registry(past_epoch)
        self._sessions = Sessions(
            registry=self._registry,
            journal=self._journal,
            link=self._link,
            router=self._router,
            loop=self._loop,
            killing=self._killing,
            events=self._events,
            ring_dir=place.ring_dir,
            own_env=own_env,
            report=report,
            forgotten=self._rows.forget,
        )
        self._strays = Strays(self._link, self._sessions.slots, report)
        self._adhoc = AdHoc(self, self._sessions, self._file, self._loop)
        self._upgrading = Upgrading(self, place.runtime_dir, self._link, self._loop, self._events, report)
        self._commands = Commands(
            self,
            self._sessions,
            self._events,
            self._rows,
            self._file,
            self._router,
            self._adhoc,
            self._upgrading,
        )
        self._end = Ending(
            sessions=self._sessions,
            strays=self._strays,
            journal=self._journal,
            link=self._link,
            loop=self._loop,
            notify=self._notify,
            close_door=self._close_door,
        )
        self._listener = listener
        self._server: ControlServer | None = None

    def run(self) -> None:
        """Until the keeper hangs up, which is also how an orderly end ends."""
        self._link.hello(self._keeper_speaks)
        while not self._link.lost:
            self._loop.run_once()
            self._sessions.begin_part_if_wanted()
            if self._fault:
                raise self._fault
        if not self._end.has_begun:
            self._report(self._link.lost)
        self._journal.close()

    # --- beginning ---

    def _heard(self, news: keeper.Event | keeper.Answer) -> None:
        if self._upgrading.heard(news):
            return
        match news:
            case keeper.Welcome(keeper_pid=pid):
                self._keeper_pid = pid
            case keeper.TableReport():
                self._begin_or_fall(news)
            case keeper.SignalReceived(seq=seq, signum=number):
                if number not in ENDING:  # done once the keeper has gone: until then, the next supervisor is told too
                    self._link.send(keeper.Ack(seq))
                self._obey_signal(signal.Signals(number))
            case keeper.ServiceStarted(name=name, pid=pid):
                self._services[name] = pid
            case keeper.ServiceStopped(name=name, is_stopped=is_stopped):
                self._report(f"{name} hangs: it was stopped" if is_stopped else f"{name} goes on")
            case keeper.ServiceDied(name=name):
                self._services.pop(name, None)
                self._report(f"{name} died: {news.status}, the next one comes in {news.respawn_in_s:g} s")
            case keeper.Goodbye(reason=reason):
                self._report(f"the keeper hangs up: {reason}")
            case keeper.Tried():
                pass
            case _:
                if self._strays.heard(news):
                    self._end.go_on()
                else:
                    self._sessions.heard(news)

    def _begin_or_fall(self, table: keeper.TableReport) -> None:
        """One that has not begun serves nobody: better another one, which tries again, or one of the code before."""
        try:
            self._begin(table)
        except Exception as fault:  # noqa: BLE001 - whatever it is
            self._fault = fault

    def _begin(self, table: keeper.TableReport) -> None:
        self._services = {row.name: row.pid for row in table.services if row.pid}
        self._set_caps()
        if any(row.pid and parent(row.pid) != self._keeper_pid for row in table.sessions):
            self._killing.look_above()
        recovered = self._journal.recover()
        rows = {row.session: row for row in table.sessions}
        for name in self._fleet.sessions:
            self._restore(name, rows.get(name), recovered)
        self._journal.go_on(recovered, self._registry.sessions.values())
        for name, row in rows.items():
            if name in self._registry.sessions:
                self._adopt(name, row)
            else:
                self._strays.take(row)
        for name in self._registry.start_order(self._fleet.sessions):
            self._place_and_start(name, rows)
        self._adhoc.go_on()
        any(self._end.essential_has_ended(name) for name in self._fleet.sessions)
        self._server = ControlServer(
            self._listener,
            self._loop,
            welcome=self._welcome,
            serve=self._commands.serve,
            on_lost=self._events.forget,
        )
        self._upgrading.go_on(self._keeper_pid, table.trial)
        self._notify.ready()

    def _restore(self, name: str, row: keeper.SessionRow | None, recovered: Recovered) -> None:
        spec = self._fleet.sessions[name]
        session = recovered.sessions.get(name) or Session(
            name,
            rules_of(spec),
            desired=Desired.UP if spec.autostart else Desired.DOWN,
            epoch=self._registry.past_epoch(spec),
        )
        if recovered.boot_id != self._boot_id or (row is None and session.run is not None):
            session = reborn(session)  # its program went with the boot, or with a fleet whose end was forced
        self._registry.restore(session, spec)
        if row is not None:
            self._sessions.take_over(name, row)

    def _adopt(self, name: str, row: keeper.SessionRow) -> None:
        output = {"none": Output.NONE, "flowing": Output.FLOWING, "ended": Output.ENDED, "refused": Output.REFUSED}
        adopted = event.Adopted(row.last_epoch, _PROGRAMS[row.program], output[row.output], row.pid, report=row.report)
        self._sessions.feed(name, adopted)

    def _place_and_start(self, name: str, rows: Mapping[str, keeper.SessionRow]) -> None:
        if name not in rows:
            self._sessions.place(name)
            if self._registry.sessions[name].run is not None:
                self._sessions.feed(name, event.Adopted(0))  # a keeper of this boot that found nothing of it
        session = self._registry.sessions[name]
        if session.desired is Desired.UP and session.state is SessionState.STOPPED:
            try:
                self._sessions.feed(name, event.StartRequested(AUTOSTART))
            except RefusedError as refusal:
                self._report(f"{name}: {refusal}")

    # --- signals to the main process ---

    def _obey_signal(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGTERM | signal.SIGINT | signal.SIGQUIT:
                self.shut_down()
            case signal.SIGHUP:
                self._reload()
            case signal.SIGUSR2:
                self._router.tell(LogOrder(self._router.next_id(), "reopen"))
            case signal.SIGUSR1:
                self._end.leave()
            case _:
                pass

    def _reload(self) -> None:
        self._notify.reloading()
        try:
            self.replace(self._file.read())
        except ConfigErrors as errors:
            self._report(f"the fleet runs on as it was: {errors}")
        self._notify.ready()

    # --- what commands need ---

    def fleet_status(self) -> control.FleetStatus:
        return control.FleetStatus(
            self._fleet.name,
            "stopping" if self._end.has_begun else "running",
            self._keeper_pid,
            {**self._services, "supervisor": os.getpid()},
            iso(self._started_ns) or "",
            self._place.runtime_dir,
            self._fleet.config,
        )

    def _happened(self, occurrence: Occurrence, record: Callable[[Occurrence], None]) -> None:
        record(occurrence)
        self._notify.status_changed()
        if self._end.essential_has_ended(occurrence.session):
            self._report(f"{occurrence.session} is essential and has ended: the fleet ends with it")

    def decisions(self, session: str) -> tuple[Decision, ...]:
        return self._journal.recent(session)

    @property
    def fleet(self) -> Fleet:
        """As it is in force."""
        return self._fleet

    def replace(self, new: Fleet) -> Plan:
        """What the change takes has begun when this returns; nothing of it is waited for."""
        if self._end.has_begun:
            raise RefusedError("already shutting down")
        plan = diff(self._fleet, new)
        self._file.apply(new)
        self._fleet = new
        self._set_caps()
        self._sessions.logins.forget()
        updating.apply(self._sessions, new, plan, self._report)
        return plan

    def _set_caps(self) -> None:
        try:
            write_cap(self._place.ring_dir, Cap.RINGS, rings_max_bytes(self._fleet))
            write_cap(self._place.ring_dir, Cap.LOGS, self._fleet.log_disk_max_bytes)
        except OSError as error:
            self._report(f"fleet.ring_memory and fleet.log_disk_max are not in force: {error}")

    def running_epochs(self) -> list[tuple[str, int]]:
        """Those that have a worker."""
        placements, sessions = self._sessions.placements, self._registry.sessions
        return [
            (name, session.epoch) for name, session in sessions.items() if session.run and placements[name].worker_pid
        ]

    def is_ending(self) -> bool:
        return self._end.has_begun

    def _welcome(self) -> control.Welcome:
        return control.Welcome(self._fleet.name, RELEASE, self._keeper_pid)

    def _in_words(self) -> str:
        counts = Counter(session.state.value for session in self._registry.sessions.values())
        states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        return f"{len(self._registry.sessions)} sessions" + (f": {states}" if states else "")

    def _own_pids(self) -> set[int]:
        programs = {session.pid for session in self._registry.sessions.values() if session.pid}
        workers = {placement.worker_pid for placement in self._sessions.placements.values()}
        return programs | workers | set(self._services.values()) | {os.getpid()}

    def shut_down(self) -> None:
        self._end.begin()

    def _close_door(self) -> None:
        if self._server is not None:
            self._server.close()
