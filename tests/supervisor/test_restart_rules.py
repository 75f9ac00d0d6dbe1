"""Whether, when and how often an ended program is started again: the rules as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from config.policies import RestartOn, RestartPolicy, RestartVerdict, RestartWhen
from supervisor.lifecycle.reasons import (
    Exited,
    ExitReason,
    Hung,
    Limit,
    Lost,
    Oom,
    Signalled,
    SpawnFailed,
    Unknown,
    reason_name,
)
from supervisor.lifecycle.restart import (
    UNLIMITED_ABOVE,
    End,
    GiveUp,
    Leave,
    RestartAfter,
    RestartHistory,
    decide,
    jittered_s,
)

SPAWN_FAILED = SpawnFailed("ENOENT", "no such file")
ABNORMAL = (Signalled("SIGSEGV"), Oom(), Hung(), Limit("active"), Lost("open", "network"), Unknown(), SPAWN_FAILED)
NOTHING: RestartHistory = RestartHistory()


def verdict(
    reason: ExitReason,
    policy: RestartPolicy,
    *,
    restart_on: RestartOn = RestartOn(),  # noqa: B008 - frozen
    history: RestartHistory = NOTHING,
    lived_s: float = 100.0,
    at_s: float = 1000.0,
    is_quick: bool = False,
    chance: float = 0.5,
) -> type:
    return type(decide(history, End(reason, lived_s, at_s, is_quick), policy, restart_on, chance))


@pytest.mark.parametrize(
    ("policy", "expected_code", "other_code", "quick_exit", "abnormal"),
    [
        (RestartWhen.ALWAYS, RestartAfter, RestartAfter, RestartAfter, RestartAfter),
        (RestartWhen.UNLESS_STOPPED, RestartAfter, RestartAfter, RestartAfter, RestartAfter),
        (RestartWhen.ON_FAILURE, Leave, RestartAfter, RestartAfter, RestartAfter),
        (RestartWhen.ON_ABNORMAL, Leave, Leave, Leave, RestartAfter),
        (RestartWhen.NEVER, Leave, Leave, Leave, Leave),
    ],
)
def test_what_each_policy_restarts(policy, expected_code, other_code, quick_exit, abnormal):
    """Expected exits, other exits, exits before start_seconds, and ends that were no exit."""
    rules = RestartPolicy(policy=policy, expected=(0, 7))
    assert verdict(Exited(7), rules) is expected_code
    assert verdict(Exited(1), rules) is other_code
    assert verdict(Exited(0), rules, is_quick=True) is quick_exit
    for reason in ABNORMAL[:-1]:
        assert verdict(reason, rules) is abnormal


def test_what_cannot_be_started_is_given_up_when_the_policy_gives_up():
    """FATAL, not EXITED: nothing ran."""
    assert verdict(SPAWN_FAILED, RestartPolicy(policy=RestartWhen.NEVER)) is GiveUp
    assert verdict(SPAWN_FAILED, RestartPolicy(), restart_on=RestartOn(spawn_failed=RestartVerdict.NEVER)) is GiveUp
    assert verdict(SPAWN_FAILED, RestartPolicy()) is RestartAfter


def test_restart_on_overrules_the_policy():
    """For each reason, in both directions; and it has a key for each reason but a stop."""
    for reason in (*ABNORMAL, Exited(0)):
        name = reason_name(reason)
        always, never = RestartOn(**{name: RestartVerdict.ALWAYS}), RestartOn(**{name: RestartVerdict.NEVER})
        assert verdict(reason, RestartPolicy(policy=RestartWhen.NEVER), restart_on=always) is RestartAfter
        assert verdict(reason, RestartPolicy(policy=RestartWhen.ALWAYS), restart_on=never) is not RestartAfter
    assert {reason_name(reason) for reason in (*ABNORMAL, Exited(0))} == set(RestartOn.__struct_fields__)


def restarts(policy: RestartPolicy, ends_s: list[float], lived_s: float = 0.0) -> list[float | str]:
    """What follows each crash at those times: the wait, or the end of it."""
    history, found = NOTHING, []
    for at_s in ends_s:
        answer = decide(history, End(Exited(1), lived_s, at_s), policy, RestartOn(), 0.5)
        found.append(answer.wait_s if isinstance(answer, RestartAfter) else type(answer).__name__)
        history = answer.history if isinstance(answer, RestartAfter) else history
    return found


def test_waits_grow_to_the_longest_and_stay():
    """By the factor, from the delay."""
    policy = RestartPolicy(delay_s=1, factor=3, max_delay_s=20, jitter=0)
    assert restarts(policy, [0, 10, 20, 30, 40]) == [1, 3, 9, 20, 20]


def test_waits_begin_anew_after_a_steady_life():
    """One that lived for reset_after has shown that it can; the window goes on counting."""
    policy = RestartPolicy(delay_s=1, jitter=0, reset_after_s=60, max=3, within_s=1000)
    assert restarts(policy, [0, 100, 200, 300], lived_s=60) == [1, 1, 1, "GiveUp"]
    assert restarts(policy, [0, 100, 200, 300], lived_s=59) == [1, 2, 4, "GiveUp"]


def test_a_huge_factor_is_no_overflow():
    """However many restarts."""
    policy = RestartPolicy(factor=1000.0, max_delay_s=1e9, jitter=0, max=2**31 - 1)
    assert restarts(policy, [float(i) for i in range(500)])[-1] == 1e9


def test_the_window_slides():
    """A restart counts for exactly `within`."""
    policy = RestartPolicy(delay_s=0, jitter=0, max=2, within_s=10)
    assert restarts(policy, [0, 1, 9.99]) == [0, 0, "GiveUp"]
    assert restarts(policy, [0, 1, 10]) == [0, 0, 0]
    assert restarts(policy, [0, 1, 10, 10.5, 11]) == [0, 0, 0, "GiveUp", 0]


def test_max_zero_restarts_nothing():
    """The first crash is FATAL."""
    assert restarts(RestartPolicy(max=0), [0]) == ["GiveUp"]


def test_what_is_remembered_has_a_limit():
    """A huge max is none; a restart is forgotten when it leaves the window."""
    policy = RestartPolicy(delay_s=0, max=UNLIMITED_ABOVE + 1, within_s=1e9)
    assert "GiveUp" not in restarts(policy, [float(i) for i in range(3000)])
    answer = decide(RestartHistory((1.0, 2.0), 1.0), End(Exited(1), 0, 500), RestartPolicy(), RestartOn(), 0.5)
    assert isinstance(answer, RestartAfter)
    assert answer.history.times_s == (500,)


@given(st.floats(0, 100), st.floats(0, 1), st.floats(0, 1))
def test_jitter_stays_within_its_share_and_the_longest_wait(wait_s, jitter, chance):
    """Whatever chance says."""
    policy = RestartPolicy(jitter=jitter, max_delay_s=100)
    found = jittered_s(wait_s, policy, chance)
    assert wait_s * (1 - jitter) - 1e-9 <= found <= min(100.0, wait_s * (1 + jitter)) + 1e-9


def test_jitter_spreads_a_herd_also_at_the_longest_wait():
    """Not half of them at the same moment."""
    policy = RestartPolicy(jitter=0.2, max_delay_s=60)
    waits = {jittered_s(60, policy, i / 100) for i in range(100)}
    assert len(waits) == 100
    assert max(waits) <= 60


def test_the_rule_is_named():
    """explain and the log quote it."""
    answer = decide(NOTHING, End(Exited(3), 12.0, 0), RestartPolicy(), RestartOn(), 0.5)
    assert answer.why == "exit status 3 after 12 s: policy on-failure restarts it, restart 1 of 10 within 300 s"
    overruled = decide(NOTHING, End(Oom(), 12.0, 0), RestartPolicy(), RestartOn(oom=RestartVerdict.NEVER), 0.5)
    assert overruled.why == "out of memory after 12 s: restart_on oom = never does not restart it"


def test_a_rule_changed_live_holds_for_the_next_end():
    """The history stays, the numbers are new."""
    first = decide(NOTHING, End(Exited(1), 0, 0), RestartPolicy(delay_s=1, jitter=0), RestartOn(), 0.5)
    assert isinstance(first, RestartAfter)
    stricter = structs.replace(RestartPolicy(), max=1)
    assert isinstance(decide(first.history, End(Exited(1), 0, 1), stricter, RestartOn(), 0.5), GiveUp)
