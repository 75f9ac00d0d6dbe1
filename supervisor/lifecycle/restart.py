"""Whether and when an ended program is started again.

    what ended it ──restart_on, policy──> not wanted: Leave (never started: GiveUp)
                                      └─> wanted ──window──> full: GiveUp
                                                         └─> RestartAfter(wait)

The window slides: restarts are counted over the last `within_s` seconds, and one more than `max` is not made. The wait
grows by `factor` with each restart and begins anew once a program has lived for `reset_after_s`. Both are remembered
apart: a program that lives for two minutes and dies is restarted without delay, and still not for ever.
"""

from typing import Final

from msgspec import Struct

from config.policies import RestartOn, RestartPolicy, RestartVerdict, RestartWhen
from supervisor.lifecycle.reasons import Exited, ExitReason, SpawnFailed, Stopped, in_words, reason_name

UNLIMITED_ABOVE: Final = 1000  # a `max` beyond this is no limit, so that what has to be remembered has one


class RestartHistory(Struct, frozen=True, omit_defaults=True):
    times_s: tuple[float, ...] = ()
    wait_s: float | None = None  # the last one, before jitter


class End(Struct, frozen=True):
    reason: ExitReason
    lived_s: float
    at_s: float
    is_quick: bool = False  # before start_seconds


class RestartAfter(Struct, frozen=True):
    wait_s: float
    history: RestartHistory
    why: str


class GiveUp(Struct, frozen=True):
    why: str


class Leave(Struct, frozen=True):
    why: str


Verdict = RestartAfter | GiveUp | Leave


def decide(history: RestartHistory, end: End, policy: RestartPolicy, restart_on: RestartOn, chance: float) -> Verdict:
    is_wanted, rule = _is_wanted(end, policy, restart_on)
    if not is_wanted:
        why = f"{_described(end)}: {rule} does not restart it"
        return GiveUp(why) if isinstance(end.reason, SpawnFailed) else Leave(why)
    times_s = within_window(history.times_s, end.at_s, policy)
    if len(times_s) >= policy.max and not _is_unlimited(policy):
        return GiveUp(f"{_described(end)}: more than {policy.max} restarts within {policy.within_s:g} s")
    wait_s = next_wait_s(history.wait_s, end.lived_s, policy)
    remembered = RestartHistory(() if _is_unlimited(policy) else (*times_s, end.at_s), wait_s)
    return RestartAfter(jittered_s(wait_s, policy, chance), remembered, _counted(end, rule, remembered, policy))


def within_window(times_s: tuple[float, ...], now_s: float, policy: RestartPolicy) -> tuple[float, ...]:
    return tuple(time_s for time_s in times_s if now_s - time_s < policy.within_s)


def next_wait_s(last_s: float | None, lived_s: float, policy: RestartPolicy) -> float:
    is_anew = last_s is None or lived_s >= policy.reset_after_s
    return min(policy.max_delay_s, policy.delay_s if is_anew or last_s is None else last_s * policy.factor)


def jittered_s(wait_s: float, policy: RestartPolicy, chance: float) -> float:
    """Spread evenly, also at the longest wait, which it never exceeds: a herd does not gather there."""
    low_s = wait_s * (1 - policy.jitter)
    high_s = min(wait_s * (1 + policy.jitter), policy.max_delay_s)
    return low_s + chance * (high_s - low_s)


def is_failure(end: End, policy: RestartPolicy) -> bool:
    match end.reason:
        case Exited(code=code):
            return end.is_quick or code not in policy.expected
        case Stopped():
            return False
        case _:
            return True


def _is_abnormal(end: End) -> bool:
    return not isinstance(end.reason, Exited | Stopped)


def _is_wanted(end: End, policy: RestartPolicy, restart_on: RestartOn) -> tuple[bool, str]:
    """With the rule that says so."""
    name = reason_name(end.reason)
    verdict: RestartVerdict | None = getattr(restart_on, name, None)  # its keys are the names of the reasons
    if verdict is not None:
        return verdict is RestartVerdict.ALWAYS, f"restart_on {name} = {verdict}"
    return _policy_wants(end, policy), f"policy {policy.policy}"


def _policy_wants(end: End, policy: RestartPolicy) -> bool:
    match policy.policy:
        case RestartWhen.ALWAYS | RestartWhen.UNLESS_STOPPED:  # a stop holds under both: it never gets here
            return True
        case RestartWhen.ON_FAILURE:
            return is_failure(end, policy)
        case RestartWhen.ON_ABNORMAL:
            return _is_abnormal(end)
        case RestartWhen.NEVER:
            return False


def _is_unlimited(policy: RestartPolicy) -> bool:
    return policy.max > UNLIMITED_ABOVE


def _described(end: End) -> str:
    if isinstance(end.reason, SpawnFailed):
        return in_words(end.reason)
    quick = ", too quickly" if end.is_quick else ""
    return f"{in_words(end.reason)} after {end.lived_s:.3g} s{quick}"


def _counted(end: End, rule: str, history: RestartHistory, policy: RestartPolicy) -> str:
    count = len(history.times_s)
    number = f", restart {count} of {policy.max} within {policy.within_s:g} s" if count else ""
    return f"{_described(end)}: {rule} restarts it{number}"
