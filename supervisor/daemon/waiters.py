"""Who waits for what a session comes to: a request is answered for each session as soon as its fate is known.

supervisorctl's words. A start has succeeded once the session is RUNNING; one that leaves STARTING in another way has
failed, whatever the restart policy does about it later. A stop has succeeded once the session is at rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from supervisor.lifecycle.reasons import SpawnFailed
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import SessionState

_AT_REST = {SessionState.STOPPED, SessionState.EXITED, SessionState.FATAL}
_OTHER = "spawn error"


class Awaited(Enum):
    STARTED = auto()
    STOPPED = auto()


class Fate(NamedTuple):
    result: str
    ok: bool


def fate(awaited: Awaited, session: Session) -> Fate | None:
    """None: not known yet."""
    if awaited is Awaited.STOPPED:
        return Fate("stopped", ok=True) if session.state in _AT_REST and session.run is None else None
    match session.state:
        case SessionState.RUNNING:
            return Fate("started", ok=True)
        case SessionState.STARTING:
            return None
        case SessionState.STOPPED | SessionState.STOPPING if session.start_when_ended:
            return None
        case _:
            return Fate(_why_not(session), ok=False)


def spawned(session: Session) -> Fate | None:
    """A program runs, or has run, or could not be started."""
    if isinstance(session.exit, SpawnFailed) and not session.pid:
        return Fate(_in_full(session.exit), ok=False)
    return Fate("started", ok=True) if session.pid or session.state in _AT_REST else None


def is_at_rest(session: Session) -> Fate | None:
    is_over = session.state in _AT_REST and session.run is None and not session.start_when_ended
    return Fate("ended", ok=True) if is_over else None


def _why_not(session: Session) -> str:
    return _in_short(session.exit) if isinstance(session.exit, SpawnFailed) else "abnormal termination"


def _in_full(failure: SpawnFailed) -> str:
    """`run` is no command of supervisorctl's: whoever typed it is told all there is to say."""
    short = _in_short(failure)
    return f"{short}: {failure.message}" if short == _OTHER else short


def _in_short(failure: SpawnFailed) -> str:
    return {"ENOENT": "no such file", "EACCES": "file is not executable"}.get(failure.errno, _OTHER)


@dataclass(slots=True)
class Waiter:
    awaited: Awaited | Callable[[Session], Fate | None]
    tell: Callable[[str, Fate], None]  # session, fate
    left: set[str]
    done: Callable[[], None]


def _fate(waiter: Waiter, session: Session) -> Fate | None:
    awaited = waiter.awaited
    return fate(awaited, session) if isinstance(awaited, Awaited) else awaited(session)


class Waiters:
    def __init__(self) -> None:
        self._waiters: list[Waiter] = []

    def add(self, waiter: Waiter) -> None:
        if waiter.left:
            self._waiters.append(waiter)
        else:
            waiter.done()

    def note(self, name: str, session: Session | None) -> None:
        """Something has changed. None: the session is gone."""
        for waiter in [waiter for waiter in self._waiters if name in waiter.left]:
            known = Fate("stopped", ok=True) if session is None else _fate(waiter, session)
            if known is not None:
                waiter.left.discard(name)
                waiter.tell(name, known)
                if not waiter.left:
                    self._waiters.remove(waiter)
                    waiter.done()
