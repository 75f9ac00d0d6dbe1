"""How far an upgrade has come: what stands in `<runtime_dir>/upgrade.json`, and what whoever finds it there does. Pure.

    trying ──> supervisor ──> keeper ──> router ──> workers ──> done
       └────────────┴────────────┴─────────┴───────────┴──────> failed

Up to the end of `supervisor` a failure leaves everything as it was. From then on the newer supervisor is in charge: a
failure leaves the rest on the older code, which understands the newer, and says which rest. Each phase may be begun
again, which is what the next supervisor does when one dies in the middle.
"""

from enum import StrEnum
from typing import assert_never

from msgspec import Struct, field

from childproc.identity import Identity
from supervisor.keeper.messages import Trial, TrialState


class Phase(StrEnum):
    TRYING = "trying"
    SUPERVISOR = "supervisor"
    KEEPER = "keeper"
    ROUTER = "router"
    WORKERS = "workers"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (Phase.DONE, Phase.FAILED)


class Step(Struct, frozen=True):
    """One that is done."""

    name: str
    said: str
    took_s: float
    paused_s: float = 0.0  # the longest time in which some output did not move


class Progress(Struct):
    keeper: Identity  # of this one: another one knows nothing of it
    from_release: str
    began_wall_s: float
    phase: Phase = Phase.TRYING
    phase_began_s: float = 0.0  # CLOCK_MONOTONIC
    to_release: str = ""
    failure: str = ""
    steps: list[Step] = field(default_factory=list)

    def begin(self, phase: Phase, now_s: float) -> None:
        self.phase, self.phase_began_s = phase, now_s

    def finish(self, name: str, said: str, now_s: float, paused_s: float = 0.0) -> Step:
        step = Step(name, said, round(now_s - self.phase_began_s, 3), round(paused_s, 3))
        self.steps.append(step)
        return step

    def fail(self, why: str) -> None:
        self.failure = f"{_left(self)}: {why}"
        self.phase = Phase.FAILED


def _left(progress: Progress) -> str:
    match progress.phase:
        case Phase.TRYING | Phase.SUPERVISOR:
            return f"not upgraded, {progress.from_release} stays in charge"
        case Phase.KEEPER:
            return "the supervisor is upgraded, keeper, router and workers are not"
        case Phase.ROUTER:
            return "supervisor and keeper are upgraded, router and workers are not"
        case Phase.WORKERS:
            return "supervisor, keeper and router are upgraded, not all workers are"
        case Phase.DONE | Phase.FAILED:
            return "it is over"
        case _:
            assert_never(progress.phase)


class Next(StrEnum):
    """What a supervisor that begins has to do about it."""

    NOTHING = "nothing"
    TAKE_CHARGE = "take_charge"  # it is the newer one, on trial
    GO_ON = "go_on"
    GIVE_UP = "give_up"


def after_restart(progress: Progress | None, keeper: Identity, trial: Trial) -> tuple[Next, str]:
    """And why, where that is to be told."""
    if trial.state is TrialState.UNDER_WAY:
        return Next.TAKE_CHARGE, ""
    if progress is None or progress.phase.is_final:
        return Next.NOTHING, ""
    if progress.keeper != keeper:
        return Next.GIVE_UP, "ringvisord was started again in the middle of it"
    match progress.phase:
        case Phase.TRYING | Phase.SUPERVISOR if trial.state is TrialState.FAILED:
            return Next.GIVE_UP, trial.why
        case Phase.SUPERVISOR if trial.state is TrialState.PASSED:
            return Next.GO_ON, ""
        case Phase.TRYING | Phase.SUPERVISOR:
            return Next.GIVE_UP, "the supervisor died while the installed code was being tried"
        case _:
            return Next.GO_ON, ""
