"""One epoch from its start to its end: program, gate, worker.

    opened ──fork──> P ──> G ──> gate closed: exec'ed ──> worker ──> program gone ──> output ended ──> over
                     └─ E, killed, too slow ──> gone: the start failed

The worker is forked once the program runs: until then there is nothing to read, and what comes before the worker waits
in the terminal or pipe. A worker that dies is replaced after it was reaped, on the same fds; the program never notices.

Programs and workers that another keeper forked are followed by their pidfds. How such a worker ended is not known and
not needed: the next one finds in the ring whether anything is left to do.
"""

import contextlib
import errno
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import NoReturn

import msgspec

from childproc import worker_record
from childproc.exit_status import is_dead
from childproc.identity import identify
from childproc.job import OUTPUT_ENDED, RING_REFUSED, PipeFds, WorkerJob
from childproc.program import FAILED, GO, PREPARED, Checkpoint, become
from childproc.spec import Phase, ProgramSpec, StartError
from supervisor.keeper.backoff import STEADY_S, Backoff
from supervisor.keeper.children import Children, Death, is_child
from supervisor.keeper.containment import enter
from supervisor.keeper.fd_store import FdStore, streams
from supervisor.keeper.forking import ever_execed, fork, fork_detached
from supervisor.keeper.log import log
from supervisor.keeper.loop import Loop
from supervisor.keeper.messages import (
    Event,
    Exited,
    OutputEnded,
    Report,
    Signalled,
    Start,
    Started,
    Target,
    Unseen,
    WaitStatus,
    WorkerDied,
    WorkerStarted,
    WorkerStopped,
)
from supervisor.keeper.openers import OpenError, Stdio, opened
from supervisor.keeper.records import Records
from supervisor.keeper.table import NotPossibleError, OutputState, ProgramState, Run, Session, Table, Worker
from supervisor.keeper.wards import Wards

START_MAX_S = 30.0
MAKE_PLACE_MAX_S = 5.0
_GATE_BYTES = 64 << 10
_decode_error = msgspec.msgpack.Decoder(StartError).decode


class Surroundings(msgspec.Struct, frozen=True):
    """What every epoch is started with."""

    ring_dir: str
    runtime_dir: str
    rlimits: dict[int, tuple[int, int]]  # as ringvisord was started with, where the keeper raised its own
    run_worker: Callable[[WorkerJob], NoReturn]
    checkpoint: Checkpoint
    start_max_s: float = START_MAX_S
    steady_s: float = STEADY_S
    containment: tuple[str, ...] = ()
    store: FdStore = FdStore(None)


class Epochs:
    def __init__(
        self,
        table: Table,
        loop: Loop,
        children: Children,
        records: Records,
        around: Surroundings,
        *,
        tell: Callable[[Event], None],
        after_crash: Callable[[], None],
    ) -> None:
        self._table = table
        self._loop = loop
        self._children = children
        self._wards = Wards(loop)
        self._records = records
        self._around = around
        self._tell = tell
        self._after_crash = after_crash

    def resume(self) -> None:
        """After a re-exec, or another keeper's death: watch and expect again what the table says."""
        for session in self._table.sessions.values():
            if run := session.run:
                self._resume(session, run)

    def _resume(self, session: Session, run: Run) -> None:
        if run.program is not ProgramState.GONE:
            self._resume_program(session, run)
        if run.worker.pid:
            self._resume_worker(session, run)
        elif run.output is OutputState.FLOWING:
            self._loop.call_in(run.worker.backoff.delay_s, lambda: self._start_worker(session, run))

    def _resume_program(self, session: Session, run: Run) -> None:
        if is_child(run.pid):
            self._expect_program(session, run)
        else:
            self._wards.expect(run.pid, run.pidfd, lambda death: self._program_died(session, run, death))
        if run.gate >= 0:
            self._watch_gate(session, run)
        elif run.program is ProgramState.RELEASED:  # its gate went with the keeper that had opened it
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(run.pidfd, signal.SIGKILL)

    def _resume_worker(self, session: Session, run: Run) -> None:
        if run.worker.pidfd >= 0:
            self._wards.expect_gone(run.worker.pidfd, lambda: self._adopted_worker_died(session, run))
        else:
            self._expect_worker(session, run)

    # ---- the program

    def start(self, request: Start) -> None:
        session = self._table.session(request.session)
        run = self._table.begin(
            request.session,
            request.epoch,
            orphan_linger_s=request.orphan_linger_s,
            stall_max_s=request.stall_max_s,
            now_ns=time.monotonic_ns(),
        )
        try:
            with opened(request.program) as stdio:
                self._fork_program(session, run, request.program, stdio)
        except OpenError as failure:
            self._never_forked(session, run, failure.phase, failure.error)
        except OSError as error:
            self._never_forked(session, run, Phase.FORK, error)

    def _fork_program(self, session: Session, run: Run, spec: ProgramSpec, stdio: Stdio) -> None:
        spec = msgspec.structs.replace(spec, rlimits={**self._around.rlimits, **spec.rlimits})
        ours, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, childs:
            run.pid = fork(lambda: self._be_program(spec, stdio, childs.fileno()))
            self._expect_program(session, run)
            run.pidfd = os.pidfd_open(run.pid)
            ours.setblocking(False)
            run.gate = ours.detach()
        run.fds = stdio.ours
        self._around.store.keep(session.name, run.epoch, run.fds)
        self._watch_gate(session, run)

    def _be_program(self, spec: ProgramSpec, stdio: Stdio, gate: int) -> NoReturn:
        enter(self._around.containment)
        become(spec, stdio.program, gate, self._around.checkpoint)

    def _never_forked(self, session: Session, run: Run, phase: Phase, error: OSError) -> None:
        """Or forked and at once unable to go on: then its death is what ends it."""
        run.error = StartError(error.errno or 0, phase, b"", error.strerror or str(error))
        if run.pid:
            os.kill(run.pid, signal.SIGKILL)
        else:
            self._over(session, self._table.failed(session, run, run.error, time.monotonic_ns()))

    def _expect_program(self, session: Session, run: Run) -> None:
        self._children.expect(run.pid, lambda death: self._program_died(session, run, death))

    def _watch_gate(self, session: Session, run: Run) -> None:
        self._loop.watch(run.gate, lambda: self._read_gate(session, run))
        self._loop.call_in(self._around.start_max_s, lambda: self._too_slow(run))

    def _read_gate(self, session: Session, run: Run) -> None:
        while run.gate >= 0 and (message := _receive(run.gate)) is not None:
            match message[:1]:
                case b"":
                    self._gate_closed(session, run)
                case kind if kind == PREPARED:
                    run.program = ProgramState.RELEASED
                    run.start_ticks = identify(run.pid).start_ticks
                    self._records.keep(session, self._table)
                    with contextlib.suppress(BrokenPipeError):  # killed meanwhile: the end of the gate comes next
                        os.write(run.gate, GO)
                case kind if kind == FAILED:
                    run.error = _decode_error(message[1:])

    def _gate_closed(self, session: Session, run: Run) -> None:
        self._loop.unwatch(run.gate)
        os.close(run.gate)
        run.gate = -1
        if run.program is ProgramState.RELEASED and not run.error and ever_execed(run.pid):
            run.program = ProgramState.RUNNING
            self._tell(Started(session.name, run.epoch, run.pid, time.monotonic_ns()))
            self._start_worker(session, run)

    def _too_slow(self, run: Run) -> None:
        if run.program in (ProgramState.PREPARING, ProgramState.RELEASED):
            message = f"not running after {self._around.start_max_s:g} s"
            run.error = StartError(errno.ETIMEDOUT, Phase.DIED, b"", message)
            os.kill(run.pid, signal.SIGKILL)

    def _program_died(self, session: Session, run: Run, death: Death) -> None:
        self._read_gate(session, run)  # while its zombie can still be asked whether it ever exec'ed
        if run.program is ProgramState.RUNNING:
            self._over(session, self._table.exited(session, run, death.status, death.time_ns))
            return
        error = run.error or StartError(0, Phase.DIED, b"", f"{_in_words(death.status)} before it ran")
        self._close_fds(session, run)
        self._over(session, self._table.failed(session, run, error, death.time_ns))

    def _over(self, session: Session, report: Report) -> None:
        """Written down while its zombie is still there."""
        self._records.keep(session, self._table)
        self._tell(report)

    def signal(self, run: Run, signum: int, target: Target) -> None:
        """Only while its pid cannot be anybody else's: our child is not reaped before the table says gone."""
        if run.program is ProgramState.GONE:
            raise NotPossibleError(f"the program of epoch {run.epoch} is gone")
        signal.pidfd_send_signal(run.pidfd, signum if target is Target.LEADER else 0)
        if target is Target.GROUP:
            os.killpg(run.pid, signum)

    # ---- the worker

    def _start_worker(self, session: Session, run: Run) -> None:
        job = self._job(session, run)
        run.output = OutputState.FLOWING
        run.worker.started_ns = time.monotonic_ns()
        try:
            run.worker.pid = fork_detached(lambda: self._be_worker(job), run.open_fds())
        except OSError as error:
            log(f"no worker for {session.name}: {error}")
            self._worker_crashed(session, run, None)
            return
        self._expect_worker(session, run)
        self._tell(WorkerStarted(session.name, run.epoch, run.worker.pid))

    def _be_worker(self, job: WorkerJob) -> None:
        enter(self._around.containment)
        if worker_record.announce(job):
            self._around.run_worker(job)

    def _job(self, session: Session, run: Run) -> WorkerJob:
        return WorkerJob(
            session=session.name,
            epoch=run.epoch,
            slot=session.ring.slot,
            fds=run.fds,
            program_pid=run.pid,
            pidfd=run.pidfd,
            ring_dir=self._around.ring_dir,
            runtime_dir=self._around.runtime_dir,
            keeper_pid=os.getpid(),
            orphan_linger_s=run.orphan_linger_s,
            stall_max_s=run.stall_max_s,
        )

    def _expect_worker(self, session: Session, run: Run) -> None:
        self._children.expect(run.worker.pid, lambda death: self._worker_died(session, run, death.status))
        self._children.follow(
            run.worker.pid, lambda is_stopped: self._worker_stopped(session, run, is_stopped=is_stopped)
        )

    def _worker_stopped(self, session: Session, run: Run, *, is_stopped: bool) -> None:
        """Not by us, and not our business: whoever did it may want to look at it. Killed, it would be replaced."""
        run.worker.is_stopped = is_stopped
        self._tell(WorkerStopped(session.name, run.epoch, is_stopped))

    def replace_worker(self, run: Run) -> None:
        """It ends between two frames; killed, if it does not. Its bell is to be rung: a poll goes on after a signal."""
        worker = run.worker
        if not worker.pid:
            raise NotPossibleError(f"epoch {run.epoch} has no worker")
        if worker.is_stopped:
            raise NotPossibleError("its worker is stopped: it is replaced once it is killed")
        worker.is_leaving = True
        _send(worker, signal.SIGTERM)
        pid = worker.pid
        self._loop.call_in(MAKE_PLACE_MAX_S, lambda: _send(worker, signal.SIGKILL) if worker.pid == pid else None)

    def _worker_died(self, session: Session, run: Run, status: WaitStatus) -> None:
        was_asked, run.worker.is_leaving = run.worker.is_leaving, False
        run.worker.pid, run.worker.is_stopped = 0, False
        match status:
            case Exited(code=code) if was_asked and code not in (OUTPUT_ENDED, RING_REFUSED):
                self._replaced(session, run)
            case Signalled() if was_asked:
                self._replaced(session, run)
            case Exited(code=code) if code in (OUTPUT_ENDED, RING_REFUSED):
                run.output = OutputState.ENDED if code == OUTPUT_ENDED else OutputState.REFUSED
                self._tell(OutputEnded(session.name, run.epoch, refused=code == RING_REFUSED))
                self.settle(session)
            case _:
                self._worker_crashed(session, run, status)

    def _adopted_worker_died(self, session: Session, run: Run) -> None:
        """At its end, perhaps: then the next one finds nothing to do and ends well."""
        os.close(run.worker.pidfd)
        was_asked, run.worker.is_leaving = run.worker.is_leaving, False
        run.worker.pid, run.worker.pidfd = 0, -1
        if was_asked:
            self._replaced(session, run)
        elif run.pidfd >= 0 and not is_dead(run.pidfd):
            self._worker_crashed(session, run, Unseen())
        else:
            self._start_worker(session, run)

    def _replaced(self, session: Session, run: Run) -> None:
        """From the loop, as after a crash, but that it is none."""
        run.worker.backoff = Backoff()
        self._loop.call_in(0, lambda: self._start_worker(session, run))

    def _worker_crashed(self, session: Session, run: Run, status: WaitStatus | None) -> None:
        """The next one is forked from the loop, when this one is reaped: a ring has one living writer."""
        lived_s = (time.monotonic_ns() - run.worker.started_ns) / 1e9
        run.worker.backoff = run.worker.backoff.after_death(lived_s, self._around.steady_s)
        delay_s = run.worker.backoff.delay_s
        self._loop.call_in(delay_s, lambda: self._start_worker(session, run))
        self._tell(WorkerDied(session.name, run.epoch, status, delay_s))
        self._after_crash()

    # ---- the end

    def close_stdin(self, session: Session, run: Run) -> None:
        match run.fds:
            case PipeFds(stdin=stdin) if stdin >= 0:
                os.close(stdin)
                self._around.store.drop(session.name, run.epoch, ("stdin",))
                run.fds = msgspec.structs.replace(run.fds, stdin=-1)
                self._records.keep(session, self._table)
            case PipeFds():
                pass
            case _:
                raise NotPossibleError("only a pipe session's input can be closed: a terminal's ends with its EOF key")

    def settle(self, session: Session) -> None:
        if session.run and session.run.over:
            self._close_fds(session, session.run)
            session.run = None
            self._records.keep(session, self._table)

    def _close_fds(self, session: Session, run: Run) -> None:
        self._around.store.drop(session.name, run.epoch, streams(run.fds))
        if run.gate >= 0:
            self._loop.unwatch(run.gate)
        for fd in run.open_fds():
            os.close(fd)
        run.fds, run.pidfd, run.gate = None, -1, -1


def _receive(gate: int) -> bytes | None:
    """None: nothing there; b"": closed, which a child that was killed before it read our G says by ECONNRESET."""
    try:
        return os.read(gate, _GATE_BYTES)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


def _send(worker: Worker, signum: int) -> None:
    """Not reaped yet, or held by a pidfd: its pid is its own."""
    with contextlib.suppress(ProcessLookupError):
        if worker.pidfd >= 0:
            signal.pidfd_send_signal(worker.pidfd, signum)
        else:
            os.kill(worker.pid, signum)


def _in_words(status: WaitStatus) -> str:
    match status:
        case Exited(code=code):
            return f"exited with {code}"
        case Signalled(signal=number):
            return f"killed by signal {number}"
        case Unseen():
            return "ended, nobody saw how,"
