"""How a fleet ends: rank by rank, the last to start first, and then the keeper.

What was wanted stays wanted: the journal is begun anew with the sessions as they were before the end began, so that
the next ringvisord starts the same ones.
"""

import contextlib
import signal
from collections.abc import Callable

from supervisor.daemon.journal_file import JournalFile
from supervisor.daemon.keeper_link import KeeperLink
from supervisor.daemon.notify import Notify
from supervisor.daemon.sessions import Sessions
from supervisor.daemon.strays import Strays
from supervisor.daemon.waiters import Awaited, Fate, Waiter
from supervisor.keeper import messages as keeper
from supervisor.keeper.loop import Loop
from supervisor.lifecycle import events as event
from supervisor.lifecycle.errors import RefusedError
from supervisor.lifecycle.reasons import Exited, ExitReason, Signalled, Stopped
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import Desired, SessionState

_SIGNALLED = 128
_SHUTDOWN = "shutdown"
_OVER = frozenset({SessionState.EXITED, SessionState.FATAL})


def exit_code(end: ExitReason | None) -> int:
    """Of the fleet, when a session that it cannot do without has ended like this."""
    match end:
        case Exited(code=code):
            return code
        case Signalled(signal=name):
            return _SIGNALLED + signal.Signals[name]
        case _:
            return 1


class Ending:
    """`close_door()`: nobody is served any more."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        strays: Strays,
        journal: JournalFile,
        link: KeeperLink,
        loop: Loop,
        notify: Notify,
        close_door: Callable[[], None],
    ) -> None:
        self._sessions = sessions
        self._registry = sessions.registry
        self._strays = strays
        self._journal = journal
        self._link = link
        self._loop = loop
        self._notify = notify
        self._close_door = close_door
        self._exit_code = 0
        self._wanted: dict[str, Desired] | None = None  # as it was before the end began
        self.has_begun = False

    def begin(self, code: int = 0) -> None:
        if self.has_begun:
            return
        self.has_begun = True
        self._exit_code = code
        self._notify.stopping()
        self._wanted = {name: _wanted(session) for name, session in self._registry.sessions.items()}
        self._stop_next_rank()

    def leave(self) -> None:
        """ringvisord goes, and everything it runs stays."""
        self.has_begun = True
        self._notify.stopping()
        self._link.send(keeper.Shutdown(self._link.next_rid(), leave=True))

    def essential_has_ended(self, name: str) -> bool:
        """The fleet ends with it, and with its exit code; one that an operator stopped is none of these."""
        spec, session = self._registry.specs.get(name), self._registry.sessions.get(name)
        if spec is None or session is None or not spec.essential or session.state not in _OVER:
            return False
        self._loop.call_in(0, lambda: self.begin(exit_code(session.exit)))  # who is told of it is not done with it
        return True

    def go_on(self) -> None:
        """Somebody came to rest: was it the last one?"""
        is_idle = not any(session.run for session in self._registry.sessions.values())
        if self._wanted is not None and is_idle and not self._strays.are_left:
            wanted, self._wanted = self._wanted, None
            self._end(wanted)

    def _stop_next_rank(self) -> None:
        """Those of the highest priority that are left: the others wait until these are at rest."""
        sessions, specs = self._registry.sessions, self._registry.specs
        left = [name for name, session in sessions.items() if session.run or session.state is SessionState.BACKOFF]
        last = max((specs[name].priority for name in left), default=0)
        rank = [name for name in left if specs[name].priority == last]
        self._notify.stopping_takes(max((sessions[name].rules.stop.timeout_s for name in rank), default=0.0))
        for name in self._registry.stop_order(rank):
            if sessions[name].desired is Desired.UP:
                with contextlib.suppress(RefusedError):
                    self._sessions.feed(name, event.StopRequested(_SHUTDOWN))
        running = {name for name in rank if name in sessions and sessions[name].run}
        if running:
            self._sessions.waiters.add(Waiter(Awaited.STOPPED, _nobody_asks, running, self._rank_has_stopped))
        elif rank:
            self._rank_has_stopped()
        else:
            self.go_on()

    def _rank_has_stopped(self) -> None:
        """From the loop: who is told of the last one is not done with it."""
        self._loop.call_in(0, self._stop_next_rank)

    def _end(self, wanted: dict[str, Desired]) -> None:
        self._journal.begin(
            Session(
                session.name,
                session.rules,
                desired=desired,
                epoch=session.epoch,
                restarts=session.restarts,
                exit=session.exit,
            )
            for name, desired in wanted.items()
            if (session := self._registry.sessions.get(name)) is not None
        )
        self._journal.close()
        self._close_door()
        for name in self._registry.sessions:
            self._link.send(keeper.Forget(self._link.next_rid(), name))
        self._link.send(keeper.Shutdown(self._link.next_rid(), leave=False, exit_code=self._exit_code))


def _wanted(session: Session) -> Desired:
    """A supervisor that was killed may have stopped it to the same end."""
    why = session.run.ending if session.run is not None else session.exit
    return Desired.UP if why == Stopped(_SHUTDOWN) else session.desired


def _nobody_asks(_name: str, _fate: Fate) -> None:
    pass
