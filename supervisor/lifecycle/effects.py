"""What is to be done, as data, in this order. The decision stands in the journal before the first of them is done.

A supervisor may die between the two. Each effect is then either asked for again by Adopted, by a report that is
resent or by the deadline, or nobody misses it (Announce: the decision in the journal says the same).
"""

from enum import StrEnum

from msgspec import Struct

from supervisor.lifecycle.reasons import ExitReason
from supervisor.lifecycle.states import SessionState


class _Effect(Struct, frozen=True, omit_defaults=True, tag=True, tag_field="effect"):
    pass


class SignalTarget(StrEnum):
    LEADER = "leader"
    GROUP = "group"


class StartProgram(_Effect, frozen=True):
    """The keeper refuses an epoch twice, so that this may be asked for again."""

    epoch: int


class SendSignal(_Effect, frozen=True):
    epoch: int
    signal: int
    target: SignalTarget


class KillTree(_Effect, frozen=True):
    """Kill, at that time, whatever is left of this epoch's processes, and never one of a later epoch's.

    A time in the future is for orphans. Who cannot tell epochs apart kills before the next StartProgram.
    """

    epoch: int
    at_s: float


class Acknowledge(_Effect, frozen=True):
    """The keeper need not report it again."""

    seq: int


class Announce(_Effect, frozen=True):
    """For subscribers, logs and metrics. Where was and state are the same, something else is worth telling."""

    was: SessionState
    state: SessionState
    why: str
    epoch: int
    pid: int = 0
    exit: ExitReason | None = None


class Forget(_Effect, frozen=True):
    """Nothing of it is left, and nobody wants it: drop it, its ring and its sink."""


Effect = StartProgram | SendSignal | KillTree | Acknowledge | Announce | Forget
