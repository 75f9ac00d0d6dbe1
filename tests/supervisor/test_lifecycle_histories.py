"""Histories as data: what happens, and the states and deeds that follow. A new bug report becomes a new entry.

A line is a time, an event, and what comes of it in the letters of the table test: the state, and S start, T stop
signal, K kill the tree, A acknowledge, F forget.
"""

import pytest

from config.policies import Orphans, RestartPolicy, RestartWhen, StopSpec
from supervisor.lifecycle.effects import Acknowledge, Announce, KillTree, SendSignal, SignalTarget, StartProgram
from supervisor.lifecycle.events import (
    Adopted,
    Condemned,
    DeadlinePassed,
    Event,
    OutputEnded,
    ProgramExited,
    ProgramStarted,
    Removed,
    RestartRequested,
    SightLost,
    SpecChanged,
    StartFailed,
    StartRequested,
    StopRequested,
    StopSignalSent,
)
from supervisor.lifecycle.lifecycle import step
from supervisor.lifecycle.reasons import Exited, Hung, SpawnFailed, Stopped, Unknown
from supervisor.lifecycle.rules import Rules
from supervisor.lifecycle.session import DeadlineKind, Session, reborn
from supervisor.lifecycle.states import Desired, Output, Program, SessionState
from tests.supervisor.test_lifecycle_table import _letters

RULES = Rules(
    start_seconds=1.0,
    stop=StopSpec(timeout_s=10.0),
    restart=RestartPolicy(delay_s=1.0, factor=2.0, max_delay_s=60.0, jitter=0.0, max=3, within_s=100.0),
)


def started(epoch: int, at_s: float) -> ProgramStarted:
    return ProgramStarted(epoch, 100 + epoch, at_s)


def exited(epoch: int, code: int, at_s: float, seq: int = 0) -> ProgramExited:
    return ProgramExited(epoch, Exited(code), at_s, seq or epoch)


start, stop, restart, due = StartRequested(), StopRequested(), RestartRequested(), DeadlinePassed()

History = list[tuple[float, Event, str]]
HISTORIES: dict[str, History] = {
    "it starts, stays up, and is stopped": [
        (0, start, "STARTING S"),
        (0.1, started(1, 0.1), "STARTING"),
        (1.1, due, "RUNNING"),
        (50, stop, "STOPPING T"),
        (50.1, exited(1, 0, 50.1), "STOPPED KA"),
        (50.2, OutputEnded(1), "STOPPED"),
    ],
    "it ignores the stop signal": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (2, stop, "STOPPING T"),
        (12, due, "STOPPING K"),
        (17, due, "STOPPING K"),
        (17.1, exited(1, 0, 17.1), "STOPPED KA"),
    ],
    "an exit that overtakes the deadline passes through RUNNING": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1.5, exited(1, 0, 1.4), "EXITED KA"),
    ],
    "a deadline that overtakes the exit: it was too quick all the same": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1.0, due, "RUNNING"),
        (1.1, exited(1, 0, 0.9), "BACKOFF KA"),
    ],
    "the output ends after the wait": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (5, exited(1, 3, 5), "BACKOFF KA"),
        (6, due, "STARTING"),
        (7, OutputEnded(1), "STARTING S"),
        (7, started(2, 7), "STARTING"),
    ],
    "the output ends before the exit is told": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (5, OutputEnded(1), "RUNNING"),
        (5, exited(1, 3, 5), "BACKOFF KA"),
        (6, due, "STARTING S"),
    ],
    "an exit told again and again": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (5, exited(1, 3, 5), "BACKOFF KA"),
        (5, exited(1, 3, 5), "BACKOFF A"),
        (5, OutputEnded(1), "BACKOFF"),
        (6, due, "STARTING S"),
        (6, exited(1, 3, 5), "STARTING A"),
        (6, started(2, 6), "STARTING"),
    ],
    "a start while it is stopping": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (2, stop, "STOPPING T"),
        (3, start, "STOPPING"),
        (4, exited(1, 0, 4), "STARTING KA"),
        (4, OutputEnded(1), "STARTING S"),
    ],
    "a start while it is stopping, thought better of": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (2, stop, "STOPPING T"),
        (3, start, "STOPPING"),
        (3, stop, "STOPPING"),
        (4, exited(1, 0, 4), "STOPPED KA"),
    ],
    "a stop before the program runs: it gets the signal then": [
        (0, start, "STARTING S"),
        (0, stop, "STOPPING"),
        (0.1, started(1, 0.1), "STOPPING T"),
        (0.2, exited(1, 0, 0.2), "STOPPED KA"),
    ],
    "a stop while it waits to be started again": [
        (0, start, "STARTING S"),
        (0, StartFailed(1, SpawnFailed("EAGAIN", "no more processes"), 0, seq=1), "BACKOFF A"),
        (0.5, stop, "STOPPED"),
        (1, due, "STOPPED"),
    ],
    "a start while it waits to be started again, waits no longer": [
        (0, start, "STARTING S"),
        (0, StartFailed(1, SpawnFailed("EAGAIN", "no more processes"), 0, seq=1), "BACKOFF A"),
        (0.5, start, "STARTING S"),
    ],
    "a restart": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (2, restart, "STOPPING T"),
        (3, exited(1, 0, 3), "STARTING KA"),
        (3, OutputEnded(1), "STARTING S"),
    ],
    "a hung program is ended and started again": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (2, Condemned(1, Hung("http")), "STOPPING T"),
        (3, exited(1, 0, 3), "BACKOFF KA"),
    ],
    "a verdict on an epoch that is over": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (2, restart, "STOPPING T"),
        (3, exited(1, 0, 3), "STARTING KA"),
        (3, OutputEnded(1), "STARTING S"),
        (3, started(2, 3), "STARTING"),
        (4, due, "RUNNING"),
        (4, Condemned(1, Hung("http")), "RUNNING"),
    ],
    "given up, and started by hand: with all its attempts": [
        (0, start, "STARTING S"),
        *[
            line
            for epoch in (1, 2, 3)
            for line in [
                (epoch * 10.0, StartFailed(epoch, SpawnFailed("ENOENT", "no"), epoch * 10.0, seq=epoch), "BACKOFF A"),
                (epoch * 10.0 + 9, due, "STARTING S"),
            ]
        ],
        (40, StartFailed(4, SpawnFailed("ENOENT", "no"), 40, seq=4), "FATAL A"),
        (41, start, "STARTING S"),
        (41, StartFailed(5, SpawnFailed("ENOENT", "no"), 41, seq=5), "BACKOFF A"),
    ],
    "the supervisor died before the start went out": [
        (0, start, "STARTING S"),
        (1, Adopted(0), "STARTING S"),
        (1, started(1, 1), "STARTING"),
    ],
    "the supervisor died before it heard of the start": [
        (0, start, "STARTING S"),
        (9, Adopted(1, Program.ALIVE, Output.FLOWING, 101, started_s=0.1), "RUNNING"),
    ],
    "the supervisor died before the acknowledgement went out": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (5, exited(1, 3, 5, seq=8), "BACKOFF KA"),
        (5, OutputEnded(1), "BACKOFF"),
        (6, due, "STARTING S"),
        (7, Adopted(1, Program.GONE, Output.ENDED, report=8), "STARTING AS"),
        (7, exited(1, 3, 5, seq=8), "STARTING A"),
    ],
    "the supervisor was dead while the program died: the wait began then": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (9, Adopted(1, Program.GONE, Output.ENDED, report=8), "RUNNING"),
        (9, exited(1, 3, 5, seq=8), "STARTING KAS"),
    ],
    "the stop signal is sent again only if nobody knows that it was": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (2, stop, "STOPPING T"),
        (3, Adopted(1, Program.ALIVE, Output.FLOWING, 101), "STOPPING T"),
        (3, StopSignalSent(1), "STOPPING"),
        (4, Adopted(1, Program.ALIVE, Output.FLOWING, 101), "STOPPING"),
    ],
    "a new keeper found nothing": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (5, due, "RUNNING"),
        (6, Adopted(0), "BACKOFF K"),
    ],
    "the journal was lost, the program was not": [
        (9, Adopted(4, Program.ALIVE, Output.FLOWING, 104, started_s=1), "RUNNING"),
        (10, exited(4, 3, 10), "BACKOFF KA"),
        (10, OutputEnded(4), "BACKOFF"),
        (11, due, "STARTING S"),
        (11, started(5, 11), "STARTING"),
    ],
    "the journal was lost, how many epochs there were is known from the log": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, exited(1, 3, 1), "BACKOFF KA"),
        (1, OutputEnded(1), "BACKOFF"),
        (2, Adopted(1, Program.ALIVE, Output.FLOWING, 101, started_s=0.1), "RUNNING"),
        (3, exited(1, 3, 3), "BACKOFF KA"),
    ],
    "the journal was lost, and the end that was in it": [
        (9, Adopted(4, Program.GONE, Output.FLOWING), "BACKOFF K"),
        (9, OutputEnded(4), "BACKOFF"),
    ],
    "the journal was lost, the start failed: its report tells": [
        (9, Adopted(4, report=8), "STARTING"),
        (9, StartFailed(4, SpawnFailed("ENOENT", "no"), 8.5, seq=8), "BACKOFF A"),
    ],
    "the journal's end was lost, with an epoch that came and went": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (2, exited(1, 3, 2), "BACKOFF KA"),
        (3, due, "STARTING"),
        (9, Adopted(4), "STARTING S"),
        (9, started(5, 9), "STARTING"),
    ],
    "the journal's end was lost, with the start of what runs": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, stop, "STOPPING T"),
        (2, exited(1, 3, 2), "STOPPED KA"),
        (9, Adopted(4, Program.ALIVE, Output.FLOWING, 104, started_s=8.5), "STARTING"),
        (9.5, due, "RUNNING"),
    ],
    "removed, and the journal's end was lost: it is stopped, and forgotten": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, Removed(), "STOPPING T"),
        (9, Adopted(4, Program.ALIVE, Output.FLOWING, 104), "STOPPING T"),
        (10, exited(4, 0, 10), "STOPPED KA"),
        (10, OutputEnded(4), "STOPPED F"),
    ],
    "removed, and the output ends before the exit is told": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, Removed(), "STOPPING T"),
        (2, OutputEnded(1), "STOPPING"),
        (2, exited(1, 0, 2), "STOPPED KAF"),
    ],
    "sight was lost of a hung program that was being ended": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, due, "RUNNING"),
        (2, Condemned(1, Hung("http")), "STOPPING T"),
        (3, SightLost("?"), "UNKNOWN"),
        (4, Adopted(1, Program.ALIVE, Output.FLOWING, 101), "STOPPING T"),
    ],
    "sight was lost after the stop signal was sent: it is not sent again": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (2, stop, "STOPPING T"),
        (2, StopSignalSent(1), "STOPPING"),
        (3, SightLost("?"), "UNKNOWN"),
        (4, Adopted(1, Program.ALIVE, Output.FLOWING, 101), "STOPPING"),
        (14, due, "STOPPING K"),
    ],
    "sight was lost before the start went out": [
        (0, start, "STARTING S"),
        (1, SightLost("?"), "UNKNOWN"),
        (2, Adopted(0), "STARTING S"),
        (2, started(1, 2), "STARTING"),
    ],
    "a stop while nobody can see": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (1, SightLost("?"), "UNKNOWN"),
        (2, stop, "UNKNOWN"),
        (3, Adopted(1, Program.ALIVE, Output.FLOWING, 101), "STOPPING T"),
        (4, exited(1, 0, 4), "STOPPED KA"),
    ],
    "the journal was lost, the epochs count on": [
        (9, Adopted(4), "STOPPED"),
        (9, start, "STARTING S"),
        (9, started(5, 9), "STARTING"),
    ],
    "longer start seconds hold for the start under way": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (0.5, SpecChanged(Rules(start_seconds=4.0)), "STARTING"),
        (1, due, "STARTING"),
        (4, due, "RUNNING"),
    ],
    "a shorter stop timeout holds for the stop under way": [
        (0, start, "STARTING S"),
        (0, started(1, 0), "STARTING"),
        (2, stop, "STOPPING T"),
        (3, SpecChanged(Rules(stop=StopSpec(timeout_s=2.0))), "STOPPING"),
        (4, due, "STOPPING K"),
    ],
    "a shorter longest wait holds for the wait under way": [
        (0, start, "STARTING S"),
        (0, StartFailed(1, SpawnFailed("EAGAIN", "no"), 0, seq=1), "BACKOFF A"),
        (0.125, SpecChanged(Rules(restart=RestartPolicy(max_delay_s=0.25))), "BACKOFF"),
        (0.375, due, "STARTING S"),
    ],
}


def play(history: History, session: Session | None = None) -> tuple[Session, list[str]]:
    session = session or Session("web", RULES)
    found = []
    for now_s, event, _ in history:
        session, effects = step(session, event, now_s)
        found.append(f"{session.state} {_letters(effects)}".rstrip())
    return session, found


@pytest.mark.parametrize("name", HISTORIES)
def test_history(name):
    """What the history says follows each of its events."""
    assert play(HISTORIES[name])[1] == [expected for *_, expected in HISTORIES[name]]


def _running() -> Session:
    return play([(0, start, ""), (0, started(1, 0), ""), (1, due, "")])[0]


def test_who_follows_the_states_sees_each_one():
    """A crash passes through EXITED, a restart through STOPPED, and each says why, of which pid."""
    _, effects = step(_running(), exited(1, 3, 5), 5)
    told = [(e.was, e.state, e.pid, e.exit) for e in effects if isinstance(e, Announce)]
    assert told == [
        (SessionState.RUNNING, SessionState.EXITED, 101, Exited(3)),
        (SessionState.EXITED, SessionState.BACKOFF, 101, Exited(3)),
    ]
    stopping, _ = step(_running(), restart, 5)
    _, effects = step(stopping, exited(1, 0, 6), 6)
    states = [e.state for e in effects if isinstance(e, Announce)]
    assert states == [SessionState.STOPPED, SessionState.STARTING]


def test_an_exit_after_start_seconds_was_running_first():
    """Both are announced, though the news came late."""
    session, _ = play([(0, start, ""), (0, started(1, 0), "")])
    _, effects = step(session, exited(1, 0, 1.4), 1.5)
    assert [e.state for e in effects if isinstance(e, Announce)] == [SessionState.RUNNING, SessionState.EXITED]


def test_an_exit_before_start_seconds_was_never_running():
    """It goes from STARTING to BACKOFF straight."""
    session, _ = play([(0, start, ""), (0, started(1, 0), "")])
    _, effects = step(session, exited(1, 0, 0.5), 1.5)
    assert next(e.state for e in effects if isinstance(e, Announce)) is SessionState.BACKOFF


def test_no_wait_means_no_turn_of_the_loop():
    """With delay 0 the start stands in the same decision as the exit, behind its acknowledgement."""
    at_once = Rules(restart=RestartPolicy(delay_s=0.0))
    up = [(0, start, ""), (0, started(1, 0), ""), (1, due, ""), (5, OutputEnded(1), "")]
    session, _ = play(up, Session("web", at_once))
    after, effects = step(session, exited(1, 1, 5), 5)
    assert after.epoch == 2
    order = [type(effect) for effect in effects]
    assert order.index(Acknowledge) < order.index(StartProgram)


def test_the_stop_signal_goes_to_the_whole_group():
    """With the session's own signal."""
    session, _ = play([(0, start, ""), (0, started(1, 0), "")], Session("web", Rules(stop=StopSpec(signal=2))))
    _, effects = step(session, stop, 1)
    assert SendSignal(1, 2, SignalTarget.GROUP) in effects


@pytest.mark.parametrize(
    ("orphans", "is_stopped", "killed"),
    [(Orphans.KILL, False, True), (Orphans.KEEP, False, False), (Orphans.KEEP, True, True)],
)
def test_orphans(orphans, is_stopped, killed):
    """Killed half a second after the leader ended, kept where that was asked for, and never left behind by a stop."""
    session, _ = play([(0, start, ""), (0, started(1, 0), "")], Session("web", Rules(orphans=orphans)))
    if is_stopped:
        session, _ = step(session, stop, 5)
    _, effects = step(session, exited(1, 0, 5), 5.25)  # told late
    assert (KillTree(1, 5.5) in effects) is killed


def test_reasons_of_ends_that_we_caused():
    """The cause counts, whatever code the program left with."""
    for event, reason in ((StopRequested("eve"), Stopped("eve")), (Condemned(1, Hung("http")), Hung("http"))):
        session, _ = step(_running(), event, 5)
        session, _ = step(session, exited(1, 9, 6), 6)
        assert session.exit == reason


def test_only_restarts_that_nobody_asked_for_are_counted():
    """A crash is, a restart by hand is not, and a stop does not forget them."""
    session, _ = step(_running(), exited(1, 3, 5), 5)
    session, _ = step(session, stop, 5)
    session, _ = step(session, OutputEnded(1), 5)
    session, _ = step(session, start, 6)
    session, _ = step(session, restart, 6)
    assert session.restarts == 1


def test_never_leaves_a_quick_exit_exited():
    """And what could not be started at all FATAL: the policy gave up."""
    never = Rules(restart=RestartPolicy(policy=RestartWhen.NEVER))
    starting, _ = play([(0, start, "")], Session("web", never))
    failed, _ = step(starting, StartFailed(1, SpawnFailed("ENOENT", "no"), 0), 0)
    assert failed.state is SessionState.FATAL
    quick, _ = play([(0, started(1, 0), ""), (0.1, exited(1, 0, 0.1), "")], starting)
    assert quick.state is SessionState.EXITED
    assert quick.desired is Desired.UP


def test_start_seconds_zero_is_running_at_once():
    """And no exit is too quick."""
    history = [(0, start, ""), (0, started(1, 0), ""), (0, exited(1, 0, 0), "")]
    _, found = play(history, Session("web", Rules(start_seconds=0)))
    assert found == ["STARTING S", "RUNNING", "EXITED KA"]


def test_after_a_boot_nothing_runs_and_nothing_is_held_against_it():
    """What is wanted, the count of epochs and of restarts go on; the end of what ran was seen by nobody."""
    session, _ = step(_running(), SpecChanged(RULES), 5)
    again = reborn(session)
    assert (again.state, again.desired, again.epoch, again.run) == (SessionState.STOPPED, Desired.UP, 1, None)
    assert again.exit == Unknown()
    assert again.deadline is None


def test_a_deadline_is_told_apart_by_what_it_is_for():
    """The kill that did not help is repeated on its own clock."""
    session, _ = step(_running(), stop, 5)
    assert session.deadline.kind is DeadlineKind.STOP_TIMEOUT
    session, _ = step(session, due, 15)
    assert session.deadline.kind is DeadlineKind.KILL_AGAIN
