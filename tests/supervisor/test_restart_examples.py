"""The documented restart examples of supervisord and systemd, on the whole machine; and a day in milliseconds.

systemd counts starts, the first one among them, in a window that begins with the first; we count restarts in a window
that slides. A burst of N there is a max of N - 1 here.
"""

from collections.abc import Callable
from itertools import pairwise

from config.policies import RestartPolicy, RestartWhen
from supervisor.lifecycle.events import (
    DeadlinePassed,
    OutputEnded,
    ProgramExited,
    ProgramStarted,
    StartFailed,
    StartRequested,
)
from supervisor.lifecycle.lifecycle import step
from supervisor.lifecycle.reasons import Exited, ExitReason, Signalled, SpawnFailed
from supervisor.lifecycle.rules import Rules
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import Program, SessionState

SECOND_TO_DIE_S = 0.001
SPAWN_FAILED = SpawnFailed("ENOENT", "can't find command 'x'")
Ends = Callable[[int], tuple[float, ExitReason]]  # epoch -> how long it lives, and how it ends


def run(rules: Rules, ends: Ends, until_s: float) -> tuple[Session, list[float]]:
    """Also when each epoch began."""
    now_s, begun = 0.0, []
    session, _ = step(Session("x", rules), StartRequested(), now_s)
    while now_s < until_s:
        run_ = session.run
        if run_ is not None and run_.program is Program.ASKED:
            begun.append(now_s)
            lives_s, reason = ends(session.epoch)
            if isinstance(reason, SpawnFailed):
                session, _ = step(session, StartFailed(session.epoch, reason, now_s, seq=1), now_s)
                continue
            session, _ = step(session, ProgramStarted(session.epoch, 7, now_s), now_s)
            ends_s = now_s + lives_s
        if session.has_program:
            if session.deadline is not None and session.deadline.at_s <= ends_s:
                now_s = session.deadline.at_s
                session, _ = step(session, DeadlinePassed(), now_s)
                continue
            now_s = ends_s
            if now_s >= until_s:
                break
            session, _ = step(session, ProgramExited(session.epoch, reason, now_s, 1), now_s)
            session, _ = step(session, OutputEnded(session.epoch), now_s)
        elif session.deadline is not None:
            now_s = session.deadline.at_s
            session, _ = step(session, DeadlinePassed(), now_s)
        else:
            break
    return session, begun


def always(lives_s: float, reason: ExitReason) -> Ends:
    return lambda _epoch: (lives_s, reason)


# ---- supervisord


def supervisord(startretries: int = 3, startsecs: float = 1.0, exitcodes: tuple[int, ...] = (0,)) -> Rules:
    """autorestart=unexpected. Its waits grow by a second each, ours by a factor."""
    return Rules(startsecs, restart=RestartPolicy(max=startretries, within_s=1e6, jitter=0, expected=exitcodes))


def test_supervisord_startretries():
    """A program that exits too quickly is tried startretries + 1 times and is FATAL then, whatever its exit code."""
    for retries in (0, 1, 3):
        session, begun = run(supervisord(retries), always(0.5, Exited(0)), 1e5)
        assert (session.state, len(begun)) == (SessionState.FATAL, retries + 1)


def test_supervisord_spawn_error():
    """A command that is not there: the same, without ever running."""
    session, begun = run(supervisord(3), always(0, SPAWN_FAILED), 1e5)
    assert (session.state, len(begun)) == (SessionState.FATAL, 4)
    assert session.exit == SPAWN_FAILED


def test_supervisord_autorestart_unexpected():
    """An expected code after startsecs is EXITED for good; another, or a signal, is started again."""
    session, begun = run(supervisord(exitcodes=(0, 2)), always(5, Exited(2)), 1e5)
    assert (session.state, len(begun)) == (SessionState.EXITED, 1)
    for reason in (Exited(1), Signalled("SIGKILL")):
        session, begun = run(supervisord(startretries=10**4), always(5, reason), 1000)
        assert len(begun) > 10


def test_supervisord_startsecs_zero():
    """Nothing is too quick."""
    session, begun = run(supervisord(startsecs=0), always(0, Exited(0)), 1e5)
    assert (session.state, len(begun)) == (SessionState.EXITED, 1)


# ---- systemd


def systemd(burst: int = 5, interval_s: float = 10.0, restart_s: float = 0.1) -> Rules:
    """Restart=always, StartLimitBurst, StartLimitIntervalSec, RestartSec: as they are unless set."""
    policy = RestartPolicy(
        policy=RestartWhen.ALWAYS, delay_s=restart_s, factor=1.0, jitter=0, max=burst - 1, within_s=interval_s
    )
    return Rules(0.0, restart=policy)


def test_systemd_start_limit_hit():
    """One that dies at once is started five times within ten seconds, and refused the sixth time."""
    session, begun = run(systemd(), always(SECOND_TO_DIE_S, Exited(1)), 1e5)
    assert (session.state, len(begun)) == (SessionState.FATAL, 5)
    assert begun[-1] < 1


def test_systemd_restart_sec_beyond_the_interval():
    """RestartSec=3 with five starts in ten seconds is never refused."""
    session, begun = run(systemd(restart_s=3), always(SECOND_TO_DIE_S, Exited(1)), 1000)
    assert session.state is not SessionState.FATAL
    assert len(begun) > 300


def test_systemd_burst_within_a_longer_interval():
    """StartLimitBurst=3, StartLimitIntervalSec=60, RestartSec=10: three starts, then refused."""
    session, begun = run(systemd(burst=3, interval_s=60, restart_s=10), always(SECOND_TO_DIE_S, Exited(1)), 1e5)
    assert (session.state, [round(at_s) for at_s in begun]) == (SessionState.FATAL, [0, 10, 20])


def test_systemd_on_abnormal():
    """A signal restarts, an exit code never does."""
    for reason, restarts in ((Exited(1), False), (Exited(0), False), (Signalled("SIGSEGV"), True)):
        rules = Rules(0.0, restart=RestartPolicy(policy=RestartWhen.ON_ABNORMAL, max=10**4, jitter=0))
        _, begun = run(rules, always(5, reason), 100)
        assert (len(begun) > 1) is restarts


# ---- time


def test_a_day_of_crashes():
    """Waits grow to the longest and stay there: a day of one that never lives is some 1440 starts, not millions."""
    rules = Rules(restart=RestartPolicy(max=10**6, delay_s=1, max_delay_s=60, jitter=0))
    session, begun = run(rules, always(0.01, Exited(1)), 86400)
    assert session.state is not SessionState.FATAL
    assert 1440 <= len(begun) <= 1450


def test_a_day_of_a_program_that_lives_for_two_minutes():
    """It is restarted after the first delay each time; the default window never fills."""
    session, begun = run(Rules(restart=RestartPolicy(jitter=0)), always(120, Exited(1)), 86400)
    assert session.state in (SessionState.RUNNING, SessionState.STARTING, SessionState.BACKOFF)
    assert {round(later - earlier) for earlier, later in pairwise(begun)} == {121}


def test_a_bad_hour_does_not_outlive_itself():
    """Crashes by night, and a steady life after: the waits have begun anew by the next crash."""
    rules = Rules(restart=RestartPolicy(max=1000, delay_s=1, max_delay_s=60, jitter=0))
    session, begun = run(rules, lambda epoch: (0.1 if epoch < 40 else 7200, Exited(1)), 40000)
    steady = [later - earlier for earlier, later in pairwise(begun) if later - earlier > 7000]
    assert steady
    assert {round(gap, 3) for gap in steady} == {7201}
    assert session.restarts == len(begun) - 1
