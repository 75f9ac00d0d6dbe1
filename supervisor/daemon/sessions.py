"""Events in, effects out: the one place where the lifecycle meets the world.

Each event is decided by the machine, written to the journal, and only then acted on. Whatever an effect leads to comes
back as another event, from the keeper or from the clock.
"""

import errno
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from typing import assert_never

from config.accounts import NoAccountError, find_account
from config.model import SessionSpec
from ipc.ring_dir import sink_path
from ipc.router_messages import Drop, Serve
from ipc.sink_spec import write_sink
from supervisor.daemon.events import EventLog
from supervisor.daemon.journal_file import JournalFile
from supervisor.daemon.keeper_link import KeeperLink
from supervisor.daemon.killing import Killing
from supervisor.daemon.launch import CannotLaunchError, orphan_linger_s, program_spec, ring_spec, sink_spec
from supervisor.daemon.logins import Logins
from supervisor.daemon.placement import Placement, Slots
from supervisor.daemon.router_link import RouterLink
from supervisor.daemon.waiters import Waiters
from supervisor.keeper import messages as keeper
from supervisor.keeper.loop import Loop
from supervisor.lifecycle import effects as effect
from supervisor.lifecycle import events as event
from supervisor.lifecycle.errors import ImpossibleEventError
from supervisor.lifecycle.reasons import Exited, ExitReason, Signalled, SpawnFailed, Unknown
from supervisor.lifecycle.registry import Registry
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import SessionState

Answered = Callable[[keeper.Done | keeper.Refused], None]


class Sessions:
    def __init__(
        self,
        *,
        registry: Registry,
        journal: JournalFile,
        link: KeeperLink,
        router: RouterLink,
        loop: Loop,
        killing: Killing,
        events: EventLog,
        ring_dir: str,
        own_env: Mapping[str, str],
        report: Callable[[str], None],
        forgotten: Callable[[str], None],
    ) -> None:
        self.registry = registry
        self.placements: dict[str, Placement] = {}
        self.slots = Slots()
        self.waiters = Waiters()
        self._journal = journal
        self._link = link
        self._router = router
        self._loop = loop
        self._killing = killing
        self._events = events
        self._ring_dir = ring_dir
        self._own_env = own_env
        self._report = report
        self._forgotten = forgotten
        self.logins = Logins(loop)
        self._before_login: dict[str, int] = {}  # sessions that wait for what a login shell says, and their epochs
        self._answered: dict[int, Answered] = {}
        self._timer_s: float | None = None

    # --- deciding ---

    def feed(self, name: str, happened: event.Event) -> None:
        """RefusedError where the machine says no; nothing has changed then."""
        now_s = time.monotonic()
        try:
            session, effects = self.registry.step(name, happened, now_s)
        except ImpossibleEventError as error:
            self._report(f"ignored: {error}")
            return
        self._journal.decided(happened, session, effects, now_s)
        for one in effects:
            self._perform(name, session, one)
        self.waiters.note(name, self.registry.sessions.get(name))
        self._set_timer()

    def begin_part_if_wanted(self) -> None:
        if self._journal.wants_new_part():
            self._journal.begin(self.registry.sessions.values())

    def _set_timer(self) -> None:
        next_s = self.registry.next_deadline_s()
        if next_s is not None and (self._timer_s is None or next_s < self._timer_s):
            self._timer_s = next_s
            self._loop.call_in(max(0.0, next_s - time.monotonic()), self._time_passed)

    def _time_passed(self) -> None:
        self._timer_s = None
        for name in self.registry.due(time.monotonic()):
            self.feed(name, event.DeadlinePassed())
        self._set_timer()

    # --- acting ---

    def _perform(self, name: str, session: Session, wanted: effect.Effect) -> None:
        match wanted:
            case effect.StartProgram(epoch=epoch):
                self._start(name, epoch)
            case effect.SendSignal(epoch=epoch, signal=number, target=target):
                self._signal(name, epoch, number, keeper.Target(target.value))
            case effect.KillTree(epoch=epoch, at_s=at_s):
                self._kill_tree(name, session, epoch, at_s)
            case effect.Acknowledge(seq=seq):
                self._link.send(keeper.Ack(seq))
            case effect.Announce():
                self._announce(name, wanted)
            case effect.Forget():
                self._forget(name)
            case _:
                assert_never(wanted)

    def _start(self, name: str, epoch: int) -> None:
        self._killing.before_start(name, epoch)
        spec, placement = self.registry.specs[name], self.placements[name]
        if placement.broken:
            self._cannot_start(name, epoch, "", placement.broken)
            return
        if spec.login_env and self._waits_for_login(spec, epoch):
            return
        try:
            program = program_spec(spec, epoch, self._own_env, self.logins.environment)
        except CannotLaunchError as error:
            self._cannot_start(name, epoch, "", str(error))
            return
        stall_max_s = spec.log.stall_max_s if spec.log else 30.0
        rid = self._ask(lambda answer: self._start_answered(name, epoch, answer))
        self._link.send(
            keeper.Start(rid, name, epoch, program, orphan_linger_s=orphan_linger_s(spec), stall_max_s=stall_max_s)
        )

    def _waits_for_login(self, spec: SessionSpec, epoch: int) -> bool:
        try:
            account = find_account(spec.user)
        except NoAccountError:
            return False  # which is what its start will fail with
        if self.logins.knows(account):
            return False
        self._before_login[spec.name] = epoch
        self.logins.ask(account, lambda: self._start_after_login(spec.name, epoch))
        return True

    def _start_after_login(self, name: str, epoch: int) -> None:
        if self._before_login.get(name) == epoch:
            del self._before_login[name]
            self._start(name, epoch)

    def _stop_before_login(self, name: str) -> None:
        """Nothing was started yet that could end."""
        if epoch := self._before_login.pop(name, 0):
            self._cannot_start(name, epoch, "", "stopped before its login shell had answered")

    def _start_answered(self, name: str, epoch: int, answer: keeper.Done | keeper.Refused) -> None:
        if isinstance(answer, keeper.Refused):
            placement = self.placements.get(name)
            no_ring = placement.broken if placement else ""  # then the keeper says only that it does not know it
            self._cannot_start(name, epoch, errno.errorcode.get(answer.errno, ""), no_ring or answer.reason)

    def _cannot_start(self, name: str, epoch: int, number: str, message: str) -> None:
        """From the loop: this decision is not finished yet."""
        failed = event.StartFailed(epoch, SpawnFailed(number, message), time.monotonic(), chance=_chance())
        self._loop.call_in(0, lambda: self.feed(name, failed))

    def _signal(self, name: str, epoch: int, number: int, target: keeper.Target) -> None:
        def answered(answer: keeper.Done | keeper.Refused) -> None:
            if isinstance(answer, keeper.Done) and name in self.registry.sessions:
                self.feed(name, event.StopSignalSent(epoch))

        self._link.send(keeper.Signal(self._ask(answered), name, epoch, number, target))

    def send_signal(self, name: str, number: int) -> None:
        """An operator's, to the leader: it means what the program makes of it."""
        epoch = self.registry.sessions[name].epoch
        self._link.send(keeper.Signal(self._ask(_no_matter), name, epoch, number, keeper.Target.LEADER))

    def end_input(self, name: str) -> None:
        """Of a program on pipes. The keeper holds stdin, too, for the next worker."""
        session = self.registry.sessions[name]
        if session.pid:
            self._link.send(keeper.CloseStdin(self._ask(_no_matter), name, session.epoch))

    def _kill_tree(self, name: str, session: Session, epoch: int, at_s: float) -> None:
        leader = session.pid if session.epoch == epoch and at_s <= time.monotonic() else 0
        if leader:
            rid = self._ask(_no_matter)
            self._link.send(keeper.Signal(rid, name, epoch, signal.SIGKILL, keeper.Target.GROUP))
        self._killing.at(at_s, name, epoch, leader)

    def _announce(self, name: str, news: effect.Announce) -> None:
        if news.state is SessionState.STOPPING:
            self._stop_before_login(name)
        placement = self.placements[name]
        if news.exit is not None and news.state is not news.was:
            placement.ended_wall_ns = time.time_ns()
        detail = {"from": news.was.value, "why": news.why, "epoch": news.epoch, "pid": news.pid}
        self._events.add(name, "state" if news.was is not news.state else "note", news.state.value, detail)

    def _forget(self, name: str) -> None:
        self._before_login.pop(name, None)
        self._router.tell(Drop(self._router.next_id(), name))
        self._link.send(keeper.Forget(self._ask(_no_matter), name))
        placement = self.placements.pop(name, None)
        if placement is not None:
            self.slots.give_back(placement.slot)
        self._forgotten(name)

    def _ask(self, answered: Answered) -> int:
        rid = self._link.next_rid()
        self._answered[rid] = answered
        return rid

    # --- sessions come and change ---

    def take_over(self, name: str, row: keeper.SessionRow) -> None:
        """The keeper has it already."""
        self.slots.claim(row.slot)
        run = self.registry.sessions[name].run
        started_ns = _wall_ns(int(run.begun_s * 1e9)) if run else 0
        self.placements[name] = Placement(row.slot, row.worker_pid, row.worker_is_stopped, started_ns)

    def place(self, name: str) -> None:
        """Give it a ring and a sink."""
        spec, slot = self.registry.specs[name], self.slots.take()
        placement = self.placements[name] = Placement(slot)
        self._journal.added(self.registry.sessions[name])

        def created(answer: keeper.Done | keeper.Refused) -> None:
            placement.broken = answer.reason if isinstance(answer, keeper.Refused) else ""
            if placement.broken:
                self._report(f"session {name} has no ring: {placement.broken}")
            elif name in self.registry.specs:
                self.write_sink(self.registry.specs[name])

        self._link.send(keeper.Create(self._ask(created), name, ring_spec(spec, slot)))

    def write_sink(self, spec: SessionSpec) -> None:
        """What the router does with it stands in a file; the order says that it is new."""
        try:
            write_sink(self._ring_dir, sink_spec(spec, self.placements[spec.name].slot))
        except OSError as error:
            self._report(f"{sink_path(self._ring_dir, spec.name)} cannot be written: {error}")
            return
        self._router.tell(Serve(self._router.next_id(), spec.name))

    # --- the keeper's news ---

    def heard(self, news: keeper.Event | keeper.Done | keeper.Refused) -> None:
        match news:
            case keeper.Done(rid=rid) | keeper.Refused(rid=rid):
                self._answered.pop(rid, _no_matter)(news)
            case keeper.Started():
                self.placements[news.session].started_wall_ns = _wall_ns(news.time_ns)
                self.feed(news.session, event.ProgramStarted(news.epoch, news.pid, news.time_ns / 1e9))
            case keeper.StartFailed():
                reason = SpawnFailed(errno.errorcode.get(news.errno, ""), _spawn_message(news))
                self._ended(news, event.StartFailed(news.epoch, reason, news.time_ns / 1e9, news.seq, _chance()))
            case keeper.ProgramExited():
                reason_ = exit_reason(news.status)
                self._ended(news, event.ProgramExited(news.epoch, reason_, news.time_ns / 1e9, news.seq, _chance()))
            case keeper.OutputEnded():
                self._known(news.session, event.OutputEnded(news.epoch, news.refused))
            case keeper.WorkerStarted():
                if news.session in self.placements:
                    self.placements[news.session].worker_pid = news.pid
                    self.placements[news.session].worker_hangs = False
            case keeper.WorkerStopped(session=name, epoch=epoch, is_stopped=is_stopped):
                if name in self.placements:
                    self.placements[name].worker_hangs = is_stopped
                self._events.add(name, "worker_hung" if is_stopped else "worker_goes_on", "", {"epoch": epoch})
            case keeper.WorkerDied():
                self._events.add(
                    news.session, "worker_died", "", {"epoch": news.epoch, "respawn_in_s": news.respawn_in_s}
                )
            case _:
                pass

    def _ended(
        self, news: keeper.StartFailed | keeper.ProgramExited, ended: event.StartFailed | event.ProgramExited
    ) -> None:
        if news.session not in self.registry.sessions:
            self._link.send(keeper.Ack(news.seq))
            return
        self.placements[news.session].ended_wall_ns = _wall_ns(news.time_ns)
        self.feed(news.session, ended)

    def _known(self, name: str, happened: event.Event) -> None:
        if name in self.registry.sessions:
            self.feed(name, happened)


def _no_matter(_answer: keeper.Done | keeper.Refused) -> None:
    pass


def _chance() -> float:
    return random.random()  # noqa: S311 - it spreads restarts, and guards nothing


def exit_reason(status: keeper.WaitStatus) -> ExitReason:
    match status:
        case keeper.Exited(code=code):
            return Exited(code)
        case keeper.Signalled(signal=number, core=core):
            return Signalled(_signal_name(number), core)
        case keeper.Unseen():
            return Unknown()
        case _:
            assert_never(status)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def _spawn_message(news: keeper.StartFailed) -> str:
    path = os.fsdecode(news.path)
    return f"{news.message}: {path}" if path and path not in news.message else news.message


def _wall_ns(monotonic_ns: int) -> int:
    return time.time_ns() - (time.monotonic_ns() - monotonic_ns)
