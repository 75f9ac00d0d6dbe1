"""Every cell of the table, the impossible ones too: what a session in that state does when that happens.

A cell reads: the state it comes to, whether it is wanted up or down, and what is done besides announcing:
S start the program, T stop signal, K kill the tree, A acknowledge, F forget. `.` changes nothing and does nothing.
"""

# ruff: noqa: E501 - a table is read in columns

import pytest

from config.policies import StopSpec
from supervisor.lifecycle.effects import Acknowledge, Announce, Effect, Forget, KillTree, SendSignal, StartProgram
from supervisor.lifecycle.errors import ImpossibleEventError, RefusedError
from supervisor.lifecycle.events import (
    EVENTS,
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
from supervisor.lifecycle.lifecycle import TABLE, step
from supervisor.lifecycle.reasons import Exited, Hung, SpawnFailed
from supervisor.lifecycle.rules import Rules
from supervisor.lifecycle.session import Deadline, DeadlineKind, Run, Session
from supervisor.lifecycle.states import Desired, Output, Program, SessionState

NOW_S = 1000.0
EPOCH = 3
LETTERS = {StartProgram: "S", SendSignal: "T", KillTree: "K", Acknowledge: "A", Forget: "F", Announce: ""}

_ALIVE = Run(EPOCH, begun_s=999.5, program=Program.ALIVE, output=Output.FLOWING, pid=77)
_ASKED = Run(EPOCH, begun_s=999.5)
_DRAINING = Run(EPOCH, begun_s=999.5, program=Program.GONE, output=Output.FLOWING, pid=77)
_UP, _DOWN = Desired.UP, Desired.DOWN


def _session(state: SessionState, desired: Desired, run: Run | None, kind: DeadlineKind | None = None) -> Session:
    deadline = Deadline(kind, NOW_S) if kind else None
    return Session("web", Rules(stop=StopSpec(timeout_s=9)), state, desired, EPOCH, run, deadline)


SESSIONS = {
    SessionState.STOPPED: _session(SessionState.STOPPED, _DOWN, None),
    SessionState.STARTING: _session(SessionState.STARTING, _UP, _ALIVE, DeadlineKind.START_SECONDS),
    SessionState.RUNNING: _session(SessionState.RUNNING, _UP, _ALIVE),
    SessionState.BACKOFF: _session(SessionState.BACKOFF, _UP, None, DeadlineKind.BACKOFF),
    SessionState.STOPPING: _session(SessionState.STOPPING, _DOWN, _ALIVE, DeadlineKind.STOP_TIMEOUT),
    SessionState.EXITED: _session(SessionState.EXITED, _UP, None),
    SessionState.FATAL: _session(SessionState.FATAL, _UP, None),
    SessionState.UNKNOWN: _session(SessionState.UNKNOWN, _UP, _ALIVE),
    "asked": _session(SessionState.STARTING, _UP, _ASKED),
    "waiting": _session(SessionState.STARTING, _UP, _DRAINING),
    "stopping, asked": _session(SessionState.STOPPING, _DOWN, _ASKED, DeadlineKind.STOP_TIMEOUT),
    "stopped, draining": _session(SessionState.STOPPED, _DOWN, _DRAINING),
    "backoff, draining": _session(SessionState.BACKOFF, _UP, _DRAINING, DeadlineKind.BACKOFF),
}

FOUND_ALIVE = Adopted(EPOCH, Program.ALIVE, Output.FLOWING, pid=77, started_s=999.5)
EVENTS_HERE: dict[str, Event] = {
    "start": StartRequested(),
    "stop": StopRequested(),
    "restart": RestartRequested(),
    "removed": Removed(),
    "respec": SpecChanged(Rules(stop=StopSpec(timeout_s=9))),
    "condemned": Condemned(EPOCH, Hung("http")),
    "started": ProgramStarted(EPOCH, 77, 999.9),
    "start failed": StartFailed(EPOCH, SpawnFailed("ENOENT", "no such file"), 999.9, seq=5),
    "exited": ProgramExited(EPOCH, Exited(0), 999.9, seq=5),
    "exited late": ProgramExited(EPOCH, Exited(0), 1999.9, seq=5),
    "output": OutputEnded(EPOCH),
    "signalled": StopSignalSent(EPOCH),
    "deadline": DeadlinePassed(),
    "found alive": FOUND_ALIVE,
    "found gone": Adopted(EPOCH, Program.GONE, Output.NONE),
    "sight lost": SightLost("the keeper contradicts itself"),
    "old exit": ProgramExited(EPOCH - 1, Exited(0), 1.0, seq=5),
    "old start": ProgramStarted(EPOCH - 1, 76, 1.0),
    "future exit": ProgramExited(EPOCH + 1, Exited(0), 1000.0, seq=5),
}

REFUSED, IMPOSSIBLE = "refused", "impossible"
# fmt: off
COLUMNS = ("STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN")
CELLS = {
    "start":        ("STARTING up S", REFUSED, REFUSED, "STARTING up S", "STOPPING up", "STARTING up S", "STARTING up S", REFUSED),
    "stop":         (REFUSED, "STOPPING down T", "STOPPING down T", "STOPPED down", ".", "EXITED down", "FATAL down", "UNKNOWN down"),
    "restart":      ("STARTING up S", "STOPPING up T", "STOPPING up T", "STARTING up S", "STOPPING up", "STARTING up S", "STARTING up S", REFUSED),
    "removed":      ("STOPPED down F", "STOPPING down T", "STOPPING down T", "STOPPED down F", "STOPPING down", "EXITED down F", "FATAL down F", "UNKNOWN down"),
    "respec":       (".", ".", ".", ".", ".", ".", ".", "."),
    "condemned":    (".", "STOPPING up T", "STOPPING up T", ".", ".", ".", ".", "."),
    "started":      (IMPOSSIBLE, ".", ".", IMPOSSIBLE, ".", IMPOSSIBLE, IMPOSSIBLE, "."),
    "start failed": (". A", "BACKOFF up A", IMPOSSIBLE, ". A", "STOPPED down A", ". A", ". A", "BACKOFF up A"),
    "exited":       (". A", "BACKOFF up KA", "BACKOFF up KA", ". A", "STOPPED down KA", ". A", ". A", "BACKOFF up KA"),
    "exited late":  (". A", "EXITED up KA", "EXITED up KA", ". A", "STOPPED down KA", ". A", ". A", "EXITED up KA"),
    "output":       (".", "STARTING up", "RUNNING up", ".", "STOPPING down", ".", ".", "UNKNOWN up"),
    "signalled":    (".", ".", ".", ".", "STOPPING down", ".", ".", "."),
    "deadline":     (".", "RUNNING up", ".", "STARTING up S", "STOPPING down K", ".", ".", "."),
    "found alive":  ("STARTING up", ".", ".", "STARTING up", ". T", "STARTING up", "STARTING up", "STARTING up"),
    "found gone":   (".", "BACKOFF up K", "BACKOFF up K", ".", "STOPPED down K", ".", ".", "BACKOFF up K"),
    "sight lost":   (".", "UNKNOWN up", "UNKNOWN up", ".", "UNKNOWN down", ".", ".", "."),
    "old exit":     (". A", ". A", ". A", ". A", ". A", ". A", ". A", ". A"),
    "old start":    (".", ".", ".", ".", ".", ".", ".", "."),
    "future exit":  (IMPOSSIBLE,) * 8,
}
SUBSTATES = ("asked", "waiting", "stopping, asked", "stopped, draining", "backoff, draining")
SUBCELLS = {
    "start":        (REFUSED, REFUSED, "STOPPING up", "STARTING up", "STARTING up"),
    "stop":         ("STOPPING down", "STOPPED down", ".", REFUSED, "STOPPED down"),
    "restart":      ("STOPPING up", ".", "STOPPING up", "STARTING up", "STARTING up"),
    "removed":      ("STOPPING down", "STOPPED down", "STOPPING down", "STOPPED down", "STOPPED down"),
    "condemned":    ("STOPPING up", ".", ".", ".", "."),
    "started":      ("STARTING up", ".", "STOPPING down T", IMPOSSIBLE, IMPOSSIBLE),
    "start failed": ("BACKOFF up A", ". A", "STOPPED down A", ". A", ". A"),
    "exited":       ("BACKOFF up KA", ". A", "STOPPED down KA", ". A", ". A"),
    "output":       (".", "STARTING up S", ".", "STOPPED down", "BACKOFF up"),
    "deadline":     (".", ".", "STOPPING down K", ".", "STARTING up"),
    "found alive":  ("STARTING up", ".", "STOPPING down T", ".", "."),
    "found gone":   ("BACKOFF up K", "STARTING up S", "STOPPED down K", "STOPPED down", "BACKOFF up"),
    "sight lost":   ("UNKNOWN up", ".", "UNKNOWN down", ".", "."),
    "old exit":     (". A", ". A", ". A", ". A", ". A"),
}
# fmt: on


def _cell(before: Session, event: Event) -> str:
    try:
        after, effects = step(before, event, NOW_S)
    except RefusedError:
        return REFUSED
    except ImpossibleEventError:
        return IMPOSSIBLE
    where = "." if after == before else f"{after.state} {after.desired}"
    return f"{where} {_letters(effects)}".rstrip()


def _letters(effects: tuple[Effect, ...]) -> str:
    return "".join(LETTERS[type(effect)] for effect in effects)


@pytest.mark.parametrize(
    ("event", "state", "expected"),
    [(event, state, cell) for event, row in CELLS.items() for state, cell in zip(COLUMNS, row, strict=True)]
    + [(event, state, cell) for event, row in SUBCELLS.items() for state, cell in zip(SUBSTATES, row, strict=True)],
)
def test_each_cell(event, state, expected):
    """What the table of this test says."""
    before = SESSIONS[state]
    kept = repr(before)
    assert _cell(before, EVENTS_HERE[event]) == expected
    assert repr(before) == kept


def test_no_cell_is_missing():
    """Neither in the machine nor here: every state for every kind of event."""
    assert set(TABLE) == set(EVENTS) == {type(event) for event in EVENTS_HERE.values()}
    assert all(set(row) == set(SessionState) for row in TABLE.values())
    assert set(COLUMNS) == set(SessionState)


@pytest.mark.parametrize(
    ("state", "event", "words"),
    [
        ("RUNNING", "start", "already started"),
        ("STARTING", "start", "already started"),
        ("STOPPED", "stop", "not running"),
    ],
)
def test_refusals_have_the_words_that_operators_know(state, event, words):
    """They are the text behind ERROR."""
    with pytest.raises(RefusedError, match=f"^{words}$"):
        step(SESSIONS[state], EVENTS_HERE[event], NOW_S)


@pytest.mark.parametrize("state", ["STARTING", "BACKOFF", "STOPPING"])
def test_a_deadline_before_its_time_is_nothing(state):
    """An event of the same moment may have moved it."""
    before = SESSIONS[state]
    assert step(before, DeadlinePassed(), NOW_S - 0.001) == (before, ())


def test_one_who_leaves_is_not_started_again():
    """It is being removed, and says so."""
    leaving, _ = step(SESSIONS["STOPPING"], Removed(), NOW_S)
    for event in (StartRequested(), RestartRequested()):
        with pytest.raises(RefusedError, match="being removed"):
            step(leaving, event, NOW_S)
