"""The keeper: parent of every process of a fleet, holder of its fds, and judge of nothing.

One thread, one loop. Whatever happens comes in as a packet of the supervisor, a word through a child's gate, or
SIGCHLD; what is done about it is in `epochs` for programs and workers, in `services` for router and supervisor. What
has to be carried over when it becomes newer code is KeeperState.
"""

import errno
import functools
import gc
import os
import resource
import socket
from collections.abc import Callable, Mapping
from typing import NoReturn, assert_never

import msgspec

from childproc.job import WorkerJob
from childproc.program import Checkpoint, no_checkpoint
from ipc.board import MAX_SESSIONS
from ipc.errors import IpcError
from ipc.ring_spec import RingSpec
from supervisor.keeper import reexec
from supervisor.keeper.backoff import STEADY_S
from supervisor.keeper.bells import Bells
from supervisor.keeper.children import Children
from supervisor.keeper.containment import find_containment
from supervisor.keeper.epochs import START_MAX_S, Epochs, Surroundings
from supervisor.keeper.fd_store import FdStore, systemd
from supervisor.keeper.forking import become_subreaper
from supervisor.keeper.link import Link, LinkState, LyingPeerError
from supervisor.keeper.log import log
from supervisor.keeper.loop import Loop
from supervisor.keeper.messages import (
    VERSION,
    Ack,
    Asked,
    CloseStdin,
    Create,
    Done,
    Event,
    Forget,
    GetTable,
    InCharge,
    ProgramExited,
    Reexec,
    Refused,
    ReplaceService,
    ReplaceWorker,
    Shutdown,
    Signal,
    SignalReceived,
    Start,
    StartFailed,
    TableReport,
    Tell,
    Tried,
    TryCode,
    TrySupervisor,
    Unanswered,
    Welcome,
)
from supervisor.keeper.records import Records
from supervisor.keeper.services import Service, Services, ServiceSpec
from supervisor.keeper.starter import tell_starter
from supervisor.keeper.table import NotPossibleError, Table
from supervisor.keeper.wakeup import ENDING, FORWARDED, Wakeup

_FORCE = "`ringctl shutdown --force` ends them, the next ringvisord goes on with them"

SOFT_NOFILE = "RINGVISOR_SOFT_NOFILE"


class KeeperConfig(msgspec.Struct, frozen=True):
    ring_dir: str  # made, with its bells, before the keeper starts
    runtime_dir: str
    services: tuple[ServiceSpec, ...]
    preload: tuple[str, ...]  # modules that the template imports
    reexec_argv: tuple[str, ...]  # this program; it is called with `--dry FD` or `--resume FD` behind it
    start_max_s: float = START_MAX_S
    steady_s: float = STEADY_S  # what lived so long is started again at once; 0 under a storm of kills


class Collaborators(msgspec.Struct, frozen=True):
    run_worker: Callable[[WorkerJob], NoReturn]
    create_ring: Callable[[str, str, RingSpec], None]
    forget_ring: Callable[[str, str], None]
    checkpoint: Checkpoint = no_checkpoint


class KeeperState(msgspec.Struct):
    config: KeeperConfig
    table: Table
    services: list[Service]
    rlimits: dict[int, tuple[int, int]]
    link: LinkState = msgspec.field(default_factory=LinkState)
    rid: int = 0  # of the request to re-execute
    speaks: dict[str, int] = msgspec.field(default_factory=dict)  # the code that runs, for the code that is tried

    def open_fds(self) -> list[int]:
        given = [fd for service in self.services for fd in service.spec.fds.values()]
        others = [fd for fd in (self.link.fd, *(service.pidfd for service in self.services)) if fd >= 0]
        return [*self.table.open_fds(), *given, *others]


def first_state(config: KeeperConfig) -> KeeperState:
    """Raises the keeper's own fd limit; programs get the one that it had, or what a service names. Fds 0 to 2 exist."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    named = os.environ.pop(SOFT_NOFILE, "")
    programs = (int(named) if named.isdigit() and int(named) <= soft else soft, hard)
    services = [Service(spec) for spec in config.services]
    return KeeperState(config, Table(), services, {resource.RLIMIT_NOFILE: programs})


def load_state(memory: int) -> KeeperState:
    """Of the predecessor, whose fds are still inheritable."""
    state = msgspec.msgpack.decode(reexec.from_memory(memory), type=KeeperState)
    os.close(memory)
    return state


class Keeper:
    def __init__(self, state: KeeperState, collaborators: Collaborators) -> None:
        self._config = state.config
        self._collaborators = collaborators
        self._rlimits = state.rlimits
        self._table = state.table
        self._resumed = state
        self._exit_code: int | None = None
        self._is_left = False
        self._dry_run: object | None = None  # the one under way, of the supervisor that there is

        become_subreaper()
        containment = find_containment(self._config.runtime_dir)
        self.store = FdStore(systemd(os.environ, os.getpid()))
        self._loop = Loop()
        self._children = Children()
        self._bells = Bells(self._config.ring_dir)
        self._records = Records(self._config.runtime_dir)
        self._epochs = Epochs(
            self._table,
            self._loop,
            self._children,
            self._records,
            self._surroundings(containment),
            tell=self._tell,
            after_crash=self._bells.ring_readers,
        )
        self._services = Services(
            state.services,
            self._config.preload,
            self._loop,
            self._children,
            tell=self._tell,
            on_channel=self._connect,
            after_crash=self._service_crashed,
            before_start=self._keep_record,
            steady_s=self._config.steady_s,
            containment=containment,
        )
        self._link = Link(
            self._loop,
            on_hello=self._greet,
            on_request=self._serve,
            on_loss=self._services.replace_supervisor,
        )

    def run(self) -> int:
        """The exit code that the supervisor asked for."""
        for fd in self._resumed.open_fds():
            os.set_inheritable(fd, False)
        self._link.resume(self._resumed.link)
        self._keep_record()
        self._services.run()
        self._epochs.resume()
        if self._table.sessions:
            self._ring_all_bells()
        self._wakeup = Wakeup()
        self._loop.watch(self._wakeup.fd, self._awake)
        self._children.sweep()
        if self._resumed.rid:
            self._link.tell(Done(self._resumed.rid))
        gc.collect()
        gc.freeze()  # or the next collection in a child would copy every page it looks at
        while self._exit_code is None or not self._services.ended:
            self._loop.run_once()
        if not self._is_left:
            self._records.forget_keeper()
        return self._exit_code

    def _keep_record(self) -> None:
        self._records.keep_keeper(self._services.identities())

    def _surroundings(self, containment: tuple[str, ...]) -> Surroundings:
        return Surroundings(
            ring_dir=self._config.ring_dir,
            runtime_dir=self._config.runtime_dir,
            rlimits=self._rlimits,
            run_worker=self._collaborators.run_worker,
            checkpoint=self._collaborators.checkpoint,
            start_max_s=self._config.start_max_s,
            steady_s=self._config.steady_s,
            containment=containment,
            store=self.store,
        )

    # ---- signals

    def _awake(self) -> None:
        self._note_signals()
        self._children.sweep()

    def _note_signals(self) -> None:
        for signum in self._wakeup.take().intersection(FORWARDED):
            if report := self._table.signal_received(signum):
                self._link.tell(report)

    # ---- the supervisor

    def _connect(self, channel: socket.socket) -> None:
        self._dry_run = None  # who asked for it is gone
        self._link.connect(channel)

    def _greet(self) -> None:
        self._link.tell(Welcome(VERSION, os.getpid()))
        self._link.tell(self._report(0))
        for report in self._table.reports.values():
            self._link.tell(report)

    def _tell(self, event: Event) -> None:
        self._link.tell(event)

    def _service_crashed(self, spec: ServiceSpec) -> None:
        if spec.decides:
            self._link.close()
            if self._services.supervisor_is_hopeless and self._table.awaits(ENDING):
                self._end_undecided()
        else:
            self._ring_all_bells()

    def _ring_all_bells(self) -> None:
        """Who died may have been about to."""
        self._bells.ring_readers()
        self._bells.ring_writers(self._table.sessions)

    def _report(self, rid: int) -> TableReport:
        return TableReport(rid, self._table.rows(), self._services.rows(), self._services.trial.outcome)

    # ---- requests

    def _serve(self, request: Unanswered | Asked) -> None:
        match request:
            case Ack(seq=seq):
                self._acknowledge(seq)
            case Tell(words=words):
                tell_starter(words)
            case _:
                self._answer(request)

    def _answer(self, request: Asked) -> None:
        try:
            self._perform(request)
        except NotPossibleError as contradiction:
            self._link.tell(Refused(request.rid, 0, str(contradiction)))
        except (OSError, IpcError, ValueError) as error:
            number = error.errno if isinstance(error, OSError) else None
            self._link.tell(Refused(request.rid, number or 0, str(error)))

    def _acknowledge(self, seq: int) -> None:
        try:
            report = self._table.acknowledge(seq)
        except NotPossibleError as lie:
            raise LyingPeerError(str(lie)) from lie
        match report:
            case SignalReceived(signum=signum):
                if again := self._table.signal_again(signum):
                    self._link.tell(again)
            case ProgramExited(session=name) | StartFailed(session=name):
                self._epochs.settle(self._table.session(name))
            case None:
                pass  # by the last supervisor too
            case _:
                assert_never(report)

    def _perform(self, request: Asked) -> None:
        match request:
            case Start():
                if self._exit_code is not None:
                    raise NotPossibleError("the fleet is ending")
                self._epochs.start(request)
                return
            case GetTable():
                self._link.tell(self._report(request.rid))
                return
            case TryCode(rid=rid, speaks=speaks):
                self._try_dry(rid, lambda said: self._link.tell(Tried(rid, said)), speaks)
                return
            case TrySupervisor(rid=rid):
                if self._dry_run:
                    raise NotPossibleError("a dry run is under way")
                refuse = functools.partial(self._refuse, rid)
                self._services.trial.begin(self._config.reexec_argv, refuse)
                return
            case InCharge():
                self._services.trial.passed()
            case Reexec(rid=rid):
                if self._services.trial.is_under_way:
                    raise NotPossibleError("a supervisor is on trial")
                self._try_dry(rid, lambda _: self._loop.call_in(0, lambda: self._become(rid)))
                return
            case ReplaceService(rid=rid, name=name):
                self._services.replace(name, lambda: self._link.tell(Done(rid)))
                return
            case ReplaceWorker():
                self._epochs.replace_worker(self._table.run(request.session, request.epoch))
                self._bells.ring_writers([request.session])
            case Create():
                self._create(request)
            case Signal():
                run = self._table.run(request.session, request.epoch)
                self._epochs.signal(run, request.signum, request.target)
            case CloseStdin():
                run = self._table.run(request.session, request.epoch)
                self._epochs.close_stdin(self._table.session(request.session), run)
            case Forget():
                self._forget(request.session)
            case Shutdown():
                self._shut_down(request)
            case _:
                assert_never(request)
        self._link.tell(Done(request.rid))

    def _create(self, request: Create) -> None:
        if not 0 <= request.ring.slot < MAX_SESSIONS:
            raise NotPossibleError(f"slot {request.ring.slot} does not exist, there are {MAX_SESSIONS}")
        if not self._table.create(request.session, request.ring):
            return
        try:
            self._collaborators.create_ring(self._config.ring_dir, request.session, request.ring)
        except BaseException:
            self._table.forget(request.session)
            raise
        self._records.keep(self._table.session(request.session), self._table)

    def _forget(self, session: str) -> None:
        self._table.forget(session)
        self._records.forget(session)
        self._collaborators.forget_ring(self._config.ring_dir, session)

    def _shut_down(self, request: Shutdown) -> None:
        if not request.leave and (left := self._table.programs_left()):
            raise NotPossibleError(f"{left} programs are not over yet: stop them first, or leave them")
        self._end(request.exit_code, leave=request.leave)

    def _end(self, exit_code: int, *, leave: bool) -> None:
        self._exit_code, self._is_left = exit_code, leave
        self._services.end([s.spec.name for s in self._services.all.values() if s.spec.decides or not leave])

    def _end_undecided(self) -> None:
        """Somebody wants us to go, and no supervisor lives long enough to stop anything in order."""
        left = self._table.programs_left()
        if left:
            log(f"no supervisor lives long enough to stop {left} sessions: they run on without ringvisord; {_FORCE}")
        else:
            log("no supervisor lives long enough to end the fleet; nothing runs, and it ends")
            for name in list(self._table.sessions):
                self._forget(name)
        self._end(int(left > 0), leave=left > 0)

    # ---- becoming newer code

    def _try_dry(self, rid: int, on_success: Callable[[str], None], speaks: Mapping[str, int] | None = None) -> None:
        """What follows a success comes from the loop: nothing of ours is half done there."""
        if self._dry_run:
            raise NotPossibleError("a dry run is under way")
        state = msgspec.structs.replace(self._state(rid), speaks=dict(speaks or {}))

        this = object()

        def on_result(why_not: str, said: str) -> None:
            if self._dry_run is not this:
                return
            self._dry_run = None
            if why_not:
                self._refuse(rid, why_not)
            else:
                on_success(said)

        encoded = msgspec.msgpack.encode(state)
        reexec.try_dry(self._config.reexec_argv, encoded, self._children, self._loop, on_result)
        self._dry_run = this

    def _refuse(self, rid: int, why_not: str) -> None:
        self._link.tell(Refused(rid, 0, why_not))

    def _become(self, rid: int) -> None:
        log("re-executing")
        try:
            reexec.become(self._config.reexec_argv, lambda: self._snapshot(rid))
        except OSError as error:
            self._link.tell(Refused(rid, error.errno or errno.EIO, f"exec failed: {error}"))

    def _snapshot(self, rid: int) -> tuple[bytes, list[int]]:
        self._note_signals()
        state = self._state(rid)
        return msgspec.msgpack.encode(state), state.open_fds()

    def _state(self, rid: int) -> KeeperState:
        services = list(self._services.all.values())
        return KeeperState(self._config, self._table, services, self._rlimits, self._link.state(), rid)
