"""What a supervisor that begins has to do about an upgrade that it finds."""

import pytest

from childproc.identity import Identity
from supervisor.keeper.messages import Trial, TrialState
from supervisor.upgrade.progress import Next, Phase, Progress, after_restart

KEEPER = Identity(100, 1)
ANOTHER = Identity(100, 2)
NONE = Trial()
ON_TRIAL, PASSED = Trial(TrialState.UNDER_WAY), Trial(TrialState.PASSED)
FAILED = Trial(TrialState.FAILED, "it died")


def at(phase: Phase) -> Progress:
    return Progress(KEEPER, "0.1.0", 0.0, phase)


@pytest.mark.parametrize("progress", [None, at(Phase.SUPERVISOR), at(Phase.DONE)])
def test_who_is_on_trial_takes_charge(progress: Progress | None) -> None:
    """Whatever the record says, and where there is none: else it would be ended for having said nothing."""
    assert after_restart(progress, KEEPER, ON_TRIAL) == (Next.TAKE_CHARGE, "")


@pytest.mark.parametrize("trial", [NONE, PASSED, FAILED])
@pytest.mark.parametrize("progress", [None, at(Phase.DONE), at(Phase.FAILED)])
def test_what_is_over_is_left_alone(progress: Progress | None, trial: Trial) -> None:
    """Also where the keeper still remembers how the last trial ended."""
    assert after_restart(progress, KEEPER, trial) == (Next.NOTHING, "")


@pytest.mark.parametrize("phase", [Phase.KEEPER, Phase.ROUTER, Phase.WORKERS])
def test_later_phases_are_begun_again(phase: Phase) -> None:
    """By whichever supervisor comes, of the newer code in any case."""
    assert after_restart(at(phase), KEEPER, PASSED) == (Next.GO_ON, "")
    assert after_restart(at(phase), KEEPER, NONE) == (Next.GO_ON, "")  # the keeper became newer code


def test_one_that_had_passed_and_could_not_write_it_down_goes_on() -> None:
    """It is of the newer code, as is the one that follows it."""
    assert after_restart(at(Phase.SUPERVISOR), KEEPER, PASSED) == (Next.GO_ON, "")


@pytest.mark.parametrize("phase", [Phase.TRYING, Phase.SUPERVISOR])
def test_the_one_that_comes_back_says_why(phase: Phase) -> None:
    """In the keeper's words; or that nobody knows what came of it."""
    assert after_restart(at(phase), KEEPER, FAILED) == (Next.GIVE_UP, "it died")
    what, why = after_restart(at(phase), KEEPER, NONE)
    assert (what, "the supervisor died" in why) == (Next.GIVE_UP, True)


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_final])
def test_another_keeper_ends_it(phase: Phase) -> None:
    """A pid that comes again is told from the same process by its start time."""
    what, why = after_restart(at(phase), ANOTHER, NONE)
    assert (what, "started again" in why) == (Next.GIVE_UP, True)


@pytest.mark.parametrize(
    ("phase", "left"),
    [
        (Phase.TRYING, "not upgraded, 0.1.0 stays in charge: no"),
        (Phase.KEEPER, "the supervisor is upgraded, keeper, router and workers are not: no"),
        (Phase.WORKERS, "supervisor, keeper and router are upgraded, not all workers are: no"),
    ],
)
def test_a_failure_says_what_runs_now(phase: Phase, left: str) -> None:
    """Which parts are of the newer release, and which are not."""
    progress = at(phase)
    progress.fail("no")
    assert (progress.failure, progress.phase) == (left, Phase.FAILED)
