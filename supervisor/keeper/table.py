"""The keeper's memory: sessions, the one epoch that each may have under way, and ends not acknowledged yet.

    program    none ──> preparing ──P/G──> released ──exec──> running ──> gone
                            └──────────────────┴── E, EOF, killed ──────> gone (a start that failed)
    output     none ──worker forked──> flowing ──exit 0──> ended
                                          └──────exit 3──> refused

An epoch is over when its program is gone, its output is none, ended or refused, and its end is acknowledged: then its
run leaves the table, and the next may start. The number of the last epoch stays, so that none is started twice.

All of it is plain data: a re-executed keeper reads back what its predecessor wrote down.
"""

from collections.abc import Collection
from enum import StrEnum

from msgspec import Struct, field

from childproc.job import PipeFds, PtyFds
from childproc.spec import StartError
from ipc.ring_spec import RingSpec
from supervisor.keeper.backoff import Backoff
from supervisor.keeper.messages import (
    ProgramExited,
    Report,
    SessionRow,
    SignalReceived,
    StartFailed,
    WaitStatus,
)


class ProgramState(StrEnum):
    NONE = "none"
    PREPARING = "preparing"
    RELEASED = "released"
    RUNNING = "running"
    GONE = "gone"


class OutputState(StrEnum):
    NONE = "none"
    FLOWING = "flowing"
    ENDED = "ended"
    REFUSED = "refused"


class NotPossibleError(Exception):
    """The request contradicts the table; the message says how."""


class Worker(Struct):
    pid: int = 0  # 0: to be forked again
    pidfd: int = -1  # of one that another keeper forked
    is_stopped: bool = False
    is_leaving: bool = False  # asked to make place for the next one
    started_ns: int = 0
    backoff: Backoff = Backoff()


class Run(Struct):
    """One epoch under way. -1: no such fd (any more)."""

    epoch: int
    orphan_linger_s: float
    stall_max_s: float
    begun_ns: int
    program: ProgramState = ProgramState.PREPARING
    pid: int = 0
    start_ticks: int = 0  # with the pid, who it is: for a keeper that comes after this one
    pidfd: int = -1
    gate: int = -1
    fds: PtyFds | PipeFds | None = None
    error: StartError | None = None  # what the child sent in place of running
    output: OutputState = OutputState.NONE
    worker: Worker = field(default_factory=Worker)
    report: int = 0  # sequence number of its end while that waits for an acknowledgement

    @property
    def over(self) -> bool:
        return self.program is ProgramState.GONE and self.output is not OutputState.FLOWING and not self.report

    def open_fds(self) -> list[int]:
        return [fd for fd in (*open_streams(self.fds), self.pidfd, self.gate, self.worker.pidfd) if fd >= 0]


def open_streams(fds: PtyFds | PipeFds | None) -> list[int]:
    match fds:
        case PtyFds(master=master):
            return [master]
        case PipeFds(stdin=stdin, stdout=stdout, stderr=stderr):
            return [fd for fd in (stdin, stdout, stderr) if fd >= 0]
        case None:
            return []


class Session(Struct):
    name: str
    ring: RingSpec
    last_epoch: int = 0
    run: Run | None = None


class SessionRecord(Struct, frozen=True):
    """What is written down of a session, for another keeper."""

    version: int
    boot_id: str
    session: Session
    report: ProgramExited | StartFailed | None


class Table(Struct):
    sessions: dict[str, Session] = field(default_factory=dict)
    reports: dict[int, Report] = field(default_factory=dict)  # in order of their numbers
    came_again: set[int] = field(default_factory=set)  # signals, since their report that waits
    last_seq: int = 0

    def create(self, name: str, ring: RingSpec) -> bool:
        """Whether it is new."""
        known = self.sessions.get(name)
        if known and known.ring == ring:
            return False
        if known:
            raise NotPossibleError(f"{name} exists with another ring: forget it first")
        if any(session.ring.slot == ring.slot for session in self.sessions.values()):
            raise NotPossibleError(f"slot {ring.slot} is taken")
        self.sessions[name] = Session(name, ring)
        return True

    def begin(self, name: str, epoch: int, *, orphan_linger_s: float, stall_max_s: float, now_ns: int) -> Run:
        session = self.session(name)
        if session.run:
            raise NotPossibleError(f"epoch {session.run.epoch} of {name} is not over: {_what_is_left(session.run)}")
        if epoch <= session.last_epoch:
            raise NotPossibleError(f"epoch {epoch} of {name} was started before, the last one was {session.last_epoch}")
        session.last_epoch = epoch
        session.run = Run(epoch, orphan_linger_s, stall_max_s, now_ns)
        return session.run

    def session(self, name: str) -> Session:
        try:
            return self.sessions[name]
        except KeyError:
            raise NotPossibleError(f"there is no session {name}") from None

    def run(self, name: str, epoch: int) -> Run:
        run = self.session(name).run
        if run is None or run.epoch != epoch:
            raise NotPossibleError(f"epoch {epoch} of {name} is not under way")
        return run

    def forget(self, name: str) -> None:
        if self.session(name).run:
            raise NotPossibleError(f"{name} is in use")
        del self.sessions[name]

    # ---- ends, kept until acknowledged

    def exited(self, session: Session, run: Run, status: WaitStatus, now_ns: int) -> Report:
        seq = self._next_seq()
        return self._ended(run, ProgramExited(seq, session.name, run.epoch, status, now_ns))

    def failed(self, session: Session, run: Run, error: StartError, now_ns: int) -> Report:
        seq = self._next_seq()
        return self._ended(
            run,
            StartFailed(seq, session.name, run.epoch, error.errno, error.phase, error.path, error.message, now_ns),
        )

    def awaits(self, signals: Collection[int]) -> bool:
        """The supervisor has not done what one of them asks for."""
        return any(isinstance(report, SignalReceived) and report.signum in signals for report in self.reports.values())

    def signal_received(self, signum: int) -> Report | None:
        """None while the same signal waits already. That one may have been acted on: it is told again then."""
        if any(isinstance(report, SignalReceived) and report.signum == signum for report in self.reports.values()):
            self.came_again.add(signum)
            return None
        report = SignalReceived(self._next_seq(), signum)
        self.reports[report.seq] = report
        return report

    def acknowledge(self, seq: int) -> Report | None:
        """What was acknowledged just now."""
        if seq > self.last_seq:
            raise NotPossibleError(f"report {seq} was never sent, the last one was {self.last_seq}")
        report = self.reports.pop(seq, None)
        if isinstance(report, ProgramExited | StartFailed) and (run := self.sessions[report.session].run):
            run.report = 0
        return report

    def signal_again(self, signum: int) -> Report | None:
        """What came while its report waited to be acknowledged."""
        if signum not in self.came_again:
            return None
        self.came_again.remove(signum)
        return self.signal_received(signum)

    def _next_seq(self) -> int:
        self.last_seq += 1
        return self.last_seq

    def _ended(self, run: Run, report: ProgramExited | StartFailed) -> Report:
        run.program = ProgramState.GONE
        run.report = report.seq
        self.reports[report.seq] = report
        return report

    # ---- seen from outside

    def rows(self) -> list[SessionRow]:
        return [_row(session) for session in self.sessions.values()]

    def open_fds(self) -> list[int]:
        return [fd for session in self.sessions.values() if session.run for fd in session.run.open_fds()]

    def runs(self) -> dict[str, Run]:
        """Epochs under way, by session."""
        return {session.name: session.run for session in self.sessions.values() if session.run}

    def programs_left(self) -> int:
        return sum(1 for session in self.sessions.values() if session.run)


def _what_is_left(run: Run) -> str:
    if run.program is not ProgramState.GONE:
        return f"its program is {run.program}"
    if run.output is OutputState.FLOWING:
        return "its output has not ended"
    return f"report {run.report} is not acknowledged"


def _row(session: Session) -> SessionRow:
    run = session.run
    return SessionRow(
        session=session.name,
        slot=session.ring.slot,
        last_epoch=session.last_epoch,
        program=run.program if run else ProgramState.NONE,
        pid=run.pid if run and run.program is not ProgramState.GONE else 0,
        output=run.output if run else OutputState.NONE,
        worker_pid=run.worker.pid if run else 0,
        worker_is_stopped=run.worker.is_stopped if run else False,
        report=run.report if run else 0,
    )
