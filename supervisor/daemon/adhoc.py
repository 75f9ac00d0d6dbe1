"""`ringctl run`: a session comes into the running fleet from the command line; it goes when it has ended or is removed.

The fleet's defaults apply to it. Only it is taken from the files, whatever else in them has changed since the last
update.
"""

import itertools
import os
import re
from collections.abc import Iterator
from typing import Protocol

import msgspec

from config.diff import Plan
from config.model import Fleet, SessionSpec
from supervisor.control import messages as control
from supervisor.control.server import Client
from supervisor.daemon.adhoc_files import AdHocSession
from supervisor.daemon.fleet_file import FleetFile
from supervisor.daemon.placement import shown_name
from supervisor.daemon.regrouping import NotDoneError
from supervisor.daemon.sessions import Sessions
from supervisor.daemon.updating import with_sessions
from supervisor.daemon.waiters import Fate, Waiter, is_at_rest, spawned
from supervisor.keeper.loop import Loop
from supervisor.lifecycle.reasons import ExitReason
from supervisor.lifecycle.session import Session

LINGER_S = 1.0  # after its end, so that who attends learns how it ended, also from the next supervisor
_NAME_MAX = 64
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]")


class InForce(Protocol):
    @property
    def fleet(self) -> Fleet: ...
    def replace(self, new: Fleet) -> Plan: ...


class AdHoc:
    def __init__(self, applied: InForce, sessions: Sessions, file: FleetFile, loop: Loop) -> None:
        self._applied = applied
        self._sessions = sessions
        self._file = file
        self._loop = loop

    def go_on(self) -> None:
        """After a supervisor that died: those that pass are watched again."""
        for name in self._file.adhoc.passing():
            self._watch(name)

    def run(self, client: Client, request: control.RunProgram) -> None:
        """Answered once the program runs, or could not be started."""
        name = self._free_name(request)
        session = AdHocSession(name, request.command, request.cwd, request.env, request.pipe, request.keep)
        spec = self._bring_in(session)
        if not request.keep:
            self._watch(name)

        def tell(_name: str, fate: Fate) -> None:
            client.tell(control.Outcome(request.id, shown_name(spec), fate.result, fate.ok))

        self._wait(Waiter(spawned, tell, {name}, lambda: client.tell(control.Done(request.id))))

    def await_end(self, client: Client, request: control.AwaitEnd) -> None:
        """Answered with how the present epoch ended, or the last one; or one after it where that came at once."""
        name = request.session
        asked = self._sessions.registry.sessions[name]  # KeyError: no such session
        seen: ExitReason | None = asked.exit

        def has_ended(session: Session) -> Fate | None:
            nonlocal seen
            seen = session.exit
            is_over = session.exit is not None and (session.run is None or session.epoch > asked.epoch)
            return Fate("ended", ok=True) if is_over else None

        def done() -> None:
            client.tell(control.Ended(request.id, name, None if seen is None else msgspec.to_builtins(seen)))
            client.tell(control.Done(request.id))

        self._wait(Waiter(has_ended, lambda _name, _fate: None, {name}, done))

    # --- in and out ---

    def _bring_in(self, session: AdHocSession) -> SessionSpec:
        if session.name in self._file.adhoc.passing():
            self._take_out(session.name)  # it has ended, and lingers
        files = self._file.adhoc
        draft = files.draft(session)
        try:
            spec = self._read(session.name, draft)
            old = self._applied.fleet
            self._applied.replace(with_sessions(old, {**old.sessions, session.name: spec}))
        except BaseException:
            files.drop([session.name])
            raise
        files.keep(session.name)
        return spec

    def _read(self, name: str, draft: str) -> SessionSpec:
        spec = self._file.read(draft).sessions.get(name)
        if spec is None:
            raise NotDoneError("defaults.instances makes several sessions of one: remove it there", "invalid_config")
        return spec

    def _take_out(self, name: str) -> None:
        old, files = self._applied.fleet, self._file.adhoc
        files.withdraw([name])
        self._applied.replace(with_sessions(old, {key: spec for key, spec in old.sessions.items() if key != name}))
        files.drop([name])

    def _watch(self, name: str) -> None:
        def ended() -> None:
            self._loop.call_in(LINGER_S, lambda: self._take_out_if_over(name))

        self._wait(Waiter(is_at_rest, lambda _name, _fate: None, {name}, ended))

    def _take_out_if_over(self, name: str) -> None:
        """Somebody may have removed it, or started it again."""
        session = self._sessions.registry.sessions.get(name)
        if session is None or name not in self._file.adhoc.passing():
            return
        if is_at_rest(session):
            self._take_out(name)
        else:
            self._watch(name)

    def _wait(self, waiter: Waiter) -> None:
        self._sessions.waiters.add(waiter)
        for name in list(waiter.left):
            self._sessions.waiters.note(name, self._sessions.registry.sessions.get(name))

    # --- names ---

    def _free_name(self, request: control.RunProgram) -> str:
        if request.name:
            if self._is_taken(request.name):
                words = f"the name {request.name} is taken: give another with --name, or ringctl remove it first"
                raise NotDoneError(words, "name_taken")
            return request.name
        base = name_from(request.command[0])
        return next(name for name in _numbered(base) if not self._is_taken(name))

    def _is_taken(self, name: str) -> bool:
        session = self._sessions.registry.sessions.get(name)
        if session is not None and name in self._file.adhoc.passing():
            return is_at_rest(session) is None
        specs = self._applied.fleet.sessions.values()
        return session is not None or any(name in {spec.table, spec.group} for spec in specs)


def name_from(program: str) -> str:
    """What a session is called after its program."""
    return _FOREIGN.sub("-", os.path.basename(program)) or "run"


def _numbered(base: str) -> Iterator[str]:
    yield base[:_NAME_MAX]
    yield from (f"{base[: _NAME_MAX - 6]}-{number}" for number in itertools.count(2))
