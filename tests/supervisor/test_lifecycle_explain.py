"""explain: the chain that led here, and what is waited for, in sentences an operator can act on."""

import pytest

from config.policies import RestartPolicy, StopSpec
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
)
from supervisor.lifecycle.explain import explain, waits_for
from supervisor.lifecycle.journal import Decision
from supervisor.lifecycle.lifecycle import step
from supervisor.lifecycle.reasons import Exited, Hung, SpawnFailed
from supervisor.lifecycle.rules import Rules
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import Output, Program

RULES = Rules(stop=StopSpec(timeout_s=10), restart=RestartPolicy(jitter=0, max=1))

SIGNALLED = "pid 77 has got signal 15; killed in 8 s; "

START = [(0.0, StartRequested("autostart"))]
RUN = [*START, (0.5, ProgramStarted(1, 77, 0.5)), (1.5, DeadlinePassed())]
CRASH = [*RUN, (60.0, ProgramExited(1, Exited(3), 60.0, 1))]
FAILED = StartFailed(2, SpawnFailed("ENOENT", "no such file: serve.py"), 61.0, 2)


def played(*history: tuple[float, Event]) -> tuple[Session, list[Decision]]:
    session, decisions = Session("web", RULES), []
    for now_s, event in history:
        session, effects = step(session, event, now_s)
        decisions.append(Decision(1e9 + now_s, now_s, event, session, effects))
    return session, decisions


def test_the_chain_of_a_crash_loop():
    """Each step, with its time, the rule, and the numbers that the rule looked at."""
    session, decisions = played(*CRASH, (60.25, OutputEnded(1)), (61.0, DeadlinePassed()), (61.0, FAILED))
    assert [(line.wall_s and line.wall_s - 1e9, line.text) for line in explain(session, decisions, 70.0)] == [
        (0.0, "STOPPED -> STARTING: start asked by autostart"),
        (0.5, "epoch 1 runs as pid 77"),
        (1.5, "STARTING -> RUNNING: up for 1 s"),
        (60.0, "RUNNING -> EXITED: exit status 3"),
        (
            60.0,
            (
                "EXITED -> BACKOFF: exit status 3 after 59.5 s: policy on-failure restarts it, "
                "restart 1 of 1 within 300 s, after 1 s"
            ),
        ),
        (60.25, "the output of epoch 1 has ended"),
        (61.0, "BACKOFF -> STARTING: the wait is over"),
        (61.0, "STARTING -> FATAL: no such file: serve.py: more than 1 restarts within 300 s"),
        (None, "FATAL: no such file: serve.py"),
    ]


@pytest.mark.parametrize(
    ("history", "now_s", "expected"),
    [
        ([], 0, "not started"),
        (START, 0.25, "for 0.25 s the keeper has been starting epoch 1"),
        (RUN[:2], 0.75, "as pid 77, RUNNING in 0.75 s"),
        (RUN, 2, "as pid 77"),
        (CRASH, 60.5, "starts again in 0.5 s, once the output of epoch 1 has ended"),
        ([*CRASH, (60.1, OutputEnded(1))], 60.5, "starts again in 0.5 s"),
        (
            [*CRASH, (61.0, DeadlinePassed())],
            62,
            "until the output of epoch 1 has ended: its worker has not written all of it to the ring",
        ),
        ([*RUN, (2, StopRequested())], 4, SIGNALLED + "then it stays STOPPED"),
        ([*RUN, (2, RestartRequested())], 4, SIGNALLED + "then it is started again"),
        (
            [*RUN, (2, Condemned(1, Hung()))],
            4,
            SIGNALLED + "then its restart rules decide",
        ),
        ([*RUN, (2, Removed())], 4, SIGNALLED + "then it is removed"),
        (
            [*START, (2, StopRequested())],
            4,
            "its program is not running yet and gets the stop signal then; killed in 8 s; then it stays STOPPED",
        ),
        (
            [*RUN, (2, StopRequested()), (12, DeadlinePassed()), (17, DeadlinePassed())],
            18,
            "killed 2 times and not gone, perhaps in the kernel (D state); killed again in 4 s; then it stays STOPPED",
        ),
        ([*RUN, (2, StopRequested("eve")), (3, ProgramExited(1, Exited(0), 3, 1))], 4, "stopped by eve"),
        ([*RUN, (60, ProgramExited(1, Exited(0), 60, 1))], 61, "exit status 0"),
        ([*RUN, (60, SightLost("?"))], 61, "until the keeper tells what runs"),
    ],
)
def test_what_it_waits_for(history, now_s, expected):
    """In every state that waits, on what and for how long."""
    assert waits_for(played(*history)[0], now_s) == expected


def test_what_leaves_no_change_of_state_is_told_too():
    """New rules, a new supervisor, a ring that nobody can use."""
    found = Adopted(1, Program.ALIVE, Output.FLOWING, 77)
    session, decisions = played(*RUN, (2, SpecChanged(RULES)), (3, found), (4, OutputEnded(1, refused=True)))
    assert [line.text for line in explain(session, decisions, 5)][3:-1] == [
        "new rules by update",
        "a new supervisor found it",
        "the output of epoch 1 has ended",
        "its ring could not be used: nobody reads its output",
    ]
