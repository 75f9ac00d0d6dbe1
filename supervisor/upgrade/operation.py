"""The upgrade as an operation of the supervisor: it asks the keeper for one step after the other.

    trying       TryCode         the installed code runs dry, with the real state
    supervisor   TrySupervisor   we are replaced; who reads this line next is the newer one, on trial, and says InCharge
    keeper       Reexec          the same process becomes the newer code
    router       ReplaceService  until the new one answers
    workers      ReplaceWorker   one by one

It belongs to no client: those that wait are told, and nothing depends on their being there. What stands on disk is
written before it is acted on; a supervisor that dies in the middle is followed by one that goes on.
"""

import os
import time
from collections.abc import Callable
from typing import Protocol, assert_never

from childproc.identity import identify
from ipc.router import router_socket_path
from supervisor.control.server import Client
from supervisor.daemon.events import EventLog
from supervisor.daemon.keeper_link import KeeperLink
from supervisor.keeper import messages as keeper
from supervisor.keeper.loop import Loop
from supervisor.release import RELEASE
from supervisor.upgrade.audience import Audience
from supervisor.upgrade.check import decode
from supervisor.upgrade.progress import Next, Phase, Progress, after_restart
from supervisor.upgrade.record import read_progress, write_progress
from supervisor.upgrade.router_probe import RouterProbe
from supervisor.upgrade.versions import spoken
from supervisor.upgrade.worker_round import WorkerRound

PHASE_MAX_S = 60.0  # without a step
_ROUTER = "router"


class UpgradeRefusedError(Exception):
    """It cannot begin, or there is none."""


class Fleet(Protocol):
    def is_ending(self) -> bool: ...
    def running_epochs(self) -> list[tuple[str, int]]: ...


class Upgrading:
    def __init__(
        self,
        fleet: Fleet,
        runtime_dir: str,
        link: KeeperLink,
        loop: Loop,
        events: EventLog,
        report: Callable[[str], None],
    ) -> None:
        self._fleet = fleet
        self._runtime_dir = runtime_dir
        self._link = link
        self._loop = loop
        self._events = events
        self._report = report
        self._keeper_pid = os.getppid()
        self._progress = read_progress(runtime_dir)
        self._is_dry = False
        self._audience = Audience()
        self._rid = 0
        self._round = WorkerRound.of(())
        self._probe: RouterProbe | None = None
        self._router_ends_s = time.monotonic()
        self._moves = 0

    # --- asked for by clients ---

    def begin(self, client: Client, request: int, *, dry_run: bool) -> None:
        if self.is_under_way:
            raise UpgradeRefusedError("an upgrade is under way already: ringctl events -f shows it")
        if self._fleet.is_ending():
            raise UpgradeRefusedError("already shutting down")
        self._is_dry = dry_run
        self._progress = Progress(identify(self._keeper_pid), RELEASE, time.time())
        self._audience.add(client, request)
        self._begin(Phase.TRYING)

    def join(self, client: Client, request: int, known: int, since_s: float) -> None:
        if self._progress is None or self._progress.began_wall_s < since_s:
            raise UpgradeRefusedError("the upgrade did not begin: call ringctl upgrade again")
        self._audience.add(client, request, known)
        self._audience.tell(self._progress)

    @property
    def is_under_way(self) -> bool:
        return self._progress is not None and not self._progress.phase.is_final

    # --- a supervisor begins ---

    def go_on(self, keeper_pid: int, trial: keeper.Trial) -> None:
        """What the one before us had begun, or what we are ourselves."""
        self._keeper_pid = keeper_pid
        what, why = after_restart(self._progress, identify(keeper_pid), trial)
        match what:
            case Next.NOTHING:
                pass
            case Next.TAKE_CHARGE:
                self._ask(keeper.InCharge(self._next_rid()))
                self._took_charge()
            case Next.GO_ON if self._phase is Phase.SUPERVISOR:
                self._took_charge()
            case Next.GO_ON:
                self._begin(self._phase)
            case Next.GIVE_UP:
                self._fail(why)
            case _:
                assert_never(what)

    def _took_charge(self) -> None:
        if self._progress is None:  # somebody removed the record: what is left to be done can be asked for again
            return
        self._progress.to_release = RELEASE
        self._finish(f"{self._progress.from_release} -> {RELEASE}, pid {os.getpid()}")
        self._begin(Phase.KEEPER)

    # --- phases ---

    def _begin(self, phase: Phase) -> None:
        assert self._progress is not None  # noqa: S101 - nobody begins a phase of nothing
        self._progress.begin(phase, time.monotonic())
        self._store()
        self._note(phase.value)
        match phase:
            case Phase.TRYING:
                self._ask(keeper.TryCode(self._next_rid(), spoken()))
            case Phase.SUPERVISOR:
                self._ask(keeper.TrySupervisor(self._next_rid()))
            case Phase.KEEPER:
                self._ask(keeper.Reexec(self._next_rid()))
            case Phase.ROUTER:
                self._ask(keeper.ReplaceService(self._next_rid(), _ROUTER))
            case Phase.WORKERS:
                self._round = WorkerRound.of(self._fleet.running_epochs())
                self._next_worker()
            case Phase.DONE | Phase.FAILED:
                self._audience.tell(self._progress)
            case _:
                assert_never(phase)

    def heard(self, news: keeper.Event | keeper.Answer) -> bool:
        """Whether it was an answer to us. Events are for others, too."""
        match news:
            case keeper.Tried(rid=rid, said=said) if rid == self._rid:
                self._tried(said)
                return True
            case keeper.Done(rid=rid) if rid == self._rid:
                self._done()
                return True
            case keeper.Refused(rid=rid, reason=reason) if rid == self._rid:
                self._refused(reason)
                return True
            case _ if self.is_under_way:
                self._watch(news)
        return False

    def _tried(self, said: str) -> None:
        assert self._progress is not None  # noqa: S101 - somebody asked
        found = decode(said)
        self._progress.to_release = found.release
        self._finish(f"{found.release} loads ({found.modules} modules), {found.sessions} sessions in the fleet file")
        self._begin(Phase.DONE if self._is_dry else Phase.SUPERVISOR)

    def _done(self) -> None:
        if self._phase is Phase.KEEPER:
            self._finish(f"re-executed, pid {self._keeper_pid} as before")
            self._begin(Phase.ROUTER)
        elif self._phase is Phase.ROUTER:
            self._router_ends_s = time.monotonic()

    def _refused(self, reason: str) -> None:
        if self._phase is not Phase.WORKERS:
            self._fail(reason)
        elif self._round.pass_over(self._round.current, reason):
            self._next_worker()

    def _watch(self, news: keeper.Event | keeper.Answer) -> None:
        match news:
            case keeper.ServiceStarted(name=name, pid=pid) if name == _ROUTER and self._phase is Phase.ROUTER:
                self._ask_router(pid)
            case keeper.ServiceDied(name=name, status=status) if name == _ROUTER and self._is_at_risk:
                self._fail(f"the new router died ({status})")
            case keeper.WorkerStarted(session=session) if self._phase is Phase.WORKERS:
                if self._round.is_back(session, time.monotonic()):
                    self._next_worker()
            case keeper.WorkerDied(session=session, status=status) if session in self._round.replaced:
                self._fail(f"the new worker of {session} died ({status})")
            case keeper.OutputEnded(session=session) if self._round.pass_over(session, "has ended"):
                self._next_worker()
            case _:
                pass

    @property
    def _is_at_risk(self) -> bool:
        return self._phase in (Phase.ROUTER, Phase.WORKERS)

    def _ask_router(self, pid: int) -> None:
        self._give_up_probe()
        self._probe = RouterProbe(router_socket_path(self._runtime_dir), self._loop, lambda: self._router_serves(pid))

    def _router_serves(self, pid: int) -> None:
        if self._phase is Phase.ROUTER and self._progress is not None:
            self._finish(f"replaced, pid {pid}", time.monotonic() - self._router_ends_s)
            self._begin(Phase.WORKERS)

    def _next_worker(self) -> None:
        if self._fleet.is_ending():
            self._fail("the fleet is ending")
            return
        if (wanted := self._round.next(time.monotonic())) is None:
            self._finish(self._round.in_words(), max(self._round.pauses_s, default=0.0))
            self._begin(Phase.DONE)
            return
        session, epoch = wanted
        self._ask(keeper.ReplaceWorker(self._next_rid(), session, epoch))

    # --- what they have in common ---

    @property
    def _phase(self) -> Phase:
        return self._progress.phase if self._progress else Phase.DONE

    def _next_rid(self) -> int:
        self._rid = self._link.next_rid()
        return self._rid

    def _ask(self, request: keeper.Request) -> None:
        """And wait so long at most for what comes of it."""
        self._moves += 1
        move = self._moves
        self._link.send(request)
        self._loop.call_in(PHASE_MAX_S, lambda: self._too_long(move))

    def _too_long(self, move: int) -> None:
        if move == self._moves and self.is_under_way:
            self._fail(f"nothing came of it within {PHASE_MAX_S:g} s")

    def _finish(self, said: str, paused_s: float = 0.0) -> None:
        assert self._progress is not None  # noqa: S101 - nobody finishes a step of nothing
        step = self._progress.finish(self._phase.value, said, time.monotonic(), paused_s)
        self._events.add("", "upgrade", step.name, {"said": said, "took_s": step.took_s, "paused_s": step.paused_s})
        self._store()
        self._audience.tell(self._progress)

    def _fail(self, why: str) -> None:
        if self._progress is None:
            return
        self._give_up_probe()
        self._progress.fail(why)
        self._report(f"upgrade: {self._progress.failure}")
        self._events.add("", "upgrade", Phase.FAILED.value, {"why": self._progress.failure})
        self._store()
        self._audience.tell(self._progress)

    def _give_up_probe(self) -> None:
        if self._probe is not None:
            self._probe.give_up()
            self._probe = None

    def _note(self, phase: str) -> None:
        if phase == Phase.DONE.value and self._progress is not None and not self._is_dry:
            detail = {"from": self._progress.from_release, "to": self._progress.to_release}
            self._events.add("", "upgrade", phase, detail)

    def _store(self) -> None:
        if self._progress is None or self._is_dry:
            return
        try:
            write_progress(self._runtime_dir, self._progress)
        except OSError as error:
            self._report(f"the upgrade's record cannot be written, a supervisor that dies now ends it: {error}")
