"""What is remembered of one session. Frozen: a step makes a new one, and a step that fails has changed nothing.

`run` is the epoch under way, from the wish to start it until nothing is left of it:

    None ──StartProgram──> ASKED ──ProgramStarted──> ALIVE ──ProgramExited──> GONE ──OutputEnded──> None
                             └────────StartFailed────────────────────────────────────────────────────┘

The next epoch begins only when run is None: the ring has one writer, and the keeper would refuse.

All times are seconds of the monotonic clock. It goes on while a supervisor is dead, so that deadlines, backoff and
restart window need no translation within one boot; with the boot all programs end, and `reborn` begins anew.
"""

from enum import StrEnum

from msgspec import Struct

from supervisor.lifecycle.reasons import ExitReason, Unknown
from supervisor.lifecycle.restart import RestartHistory
from supervisor.lifecycle.rules import Rules
from supervisor.lifecycle.states import Desired, Output, Program, SessionState


class DeadlineKind(StrEnum):
    START_SECONDS = "start_seconds"
    BACKOFF = "backoff"
    STOP_TIMEOUT = "stop_timeout"
    KILL_AGAIN = "kill_again"


class Deadline(Struct, frozen=True):
    kind: DeadlineKind
    at_s: float


class Run(Struct, frozen=True, omit_defaults=True):
    epoch: int
    begun_s: float  # asked for, and once it is known when the program started: that
    program: Program = Program.ASKED
    output: Output = Output.NONE
    pid: int = 0  # stays when it is gone: its end is told with it
    ending: ExitReason | None = None  # what its end is called, once we caused it
    is_signal_sent: bool = False  # the keeper has said so
    kills: int = 0

    @property
    def is_over(self) -> bool:
        return self.program is Program.GONE and self.output is not Output.FLOWING


class Session(Struct, frozen=True, omit_defaults=True):
    name: str
    rules: Rules = Rules()
    state: SessionState = SessionState.STOPPED
    desired: Desired = Desired.DOWN
    epoch: int = 0  # the last one begun; they count from 1
    run: Run | None = None
    deadline: Deadline | None = None
    since_s: float = 0.0  # in this state
    start_when_ended: bool = False  # asked for while the program was ending
    is_leaving: bool = False  # forgotten once nothing is left of it
    history: RestartHistory = RestartHistory()
    restarts: int = 0  # that nobody asked for, ever
    exit: ExitReason | None = None  # of the last epoch that ended

    @property
    def pid(self) -> int:
        """Of the program that runs, else 0."""
        return self.run.pid if self.run and self.has_program else 0

    @property
    def has_program(self) -> bool:
        """It runs, or the keeper may be about to run it."""
        return self.run is not None and self.run.program is not Program.GONE


def reborn(session: Session) -> Session:
    """After a boot: nothing runs, and nothing is held against it. Whether it is started is the fleet's business."""
    return Session(
        session.name,
        session.rules,
        desired=session.desired,
        epoch=session.epoch,
        restarts=session.restarts,
        exit=Unknown() if session.has_program else session.exit,
    )
