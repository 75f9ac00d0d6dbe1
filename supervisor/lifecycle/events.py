"""What can happen to a session. Plain data: the journal holds them, and the same ones lead to the same decisions.

Times (`at_s`) are those of the clock that the deadlines use, read by whoever saw the thing happen: an exit that was
reported late is judged by when it happened. `chance`, drawn by the shell from 0 to 1, is what jitter is made of.
`seq` numbers a report of the keeper that waits to be acknowledged; 0: none does.
"""

from typing import Annotated

from msgspec import Meta, Struct

from supervisor.lifecycle.reasons import ExitReason, Hung, Limit, Lost, Oom, SpawnFailed
from supervisor.lifecycle.rules import Rules
from supervisor.lifecycle.states import Output, Program

Chance = Annotated[float, Meta(ge=0, le=1)]
NO_JITTER: Chance = 0.5


class _Event(Struct, frozen=True, omit_defaults=True, tag=True, tag_field="event"):
    pass


# ---- what somebody wants


class _Request(_Event, frozen=True):
    by: str = "operator"


class StartRequested(_Request, frozen=True):
    pass


class StopRequested(_Request, frozen=True):
    pass


class RestartRequested(_Request, frozen=True):
    pass


class Removed(_Request, frozen=True):
    """It is in the fleet no more: stop it, then forget it."""


class SpecChanged(_Event, frozen=True):
    """Also: it is in the fleet after all. What takes a restart is another event."""

    rules: Rules
    by: str = "update"


class Condemned(_Event, frozen=True):
    """A check or a limit found that this epoch must end. Nobody asked: the restart policy decides what follows."""

    epoch: int
    reason: Hung | Limit | Lost | Oom


# ---- what happened


class ProgramStarted(_Event, frozen=True):
    epoch: int
    pid: int
    at_s: float


class StartFailed(_Event, frozen=True):
    epoch: int
    reason: SpawnFailed
    at_s: float
    seq: int = 0
    chance: Chance = NO_JITTER


class ProgramExited(_Event, frozen=True):
    epoch: int
    reason: ExitReason
    at_s: float
    seq: int = 0
    chance: Chance = NO_JITTER


class OutputEnded(_Event, frozen=True):
    """All that the program wrote is in the ring, and the worker is gone. refused: it could not use the ring."""

    epoch: int
    refused: bool = False


class StopSignalSent(_Event, frozen=True):
    """The keeper has done it: a supervisor that comes back need not send it again."""

    epoch: int


class DeadlinePassed(_Event, frozen=True):
    pass


class Adopted(_Event, frozen=True):
    """What the keeper's table says, before anything else is decided. Reports that wait come after it."""

    epoch: int  # the last one that the keeper knows; 0: none
    program: Program = Program.GONE
    output: Output = Output.NONE
    pid: int = 0
    started_s: float | None = None  # if that is known
    report: int = 0  # sequence number of the epoch's end, while it waits to be acknowledged
    chance: Chance = NO_JITTER


class SightLost(_Event, frozen=True):
    """It cannot be told any more whether the program runs."""

    why: str


Event = (
    StartRequested
    | StopRequested
    | RestartRequested
    | Removed
    | SpecChanged
    | Condemned
    | ProgramStarted
    | StartFailed
    | ProgramExited
    | OutputEnded
    | StopSignalSent
    | DeadlinePassed
    | Adopted
    | SightLost
)

EpochEvent = Condemned | ProgramStarted | StartFailed | ProgramExited | OutputEnded | StopSignalSent
EVENTS: tuple[type[Event], ...] = Event.__args__
