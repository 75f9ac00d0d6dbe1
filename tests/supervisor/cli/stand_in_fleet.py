"""A fleet that is played: a real control server on a real socket, behind it a few sessions that obey at once."""

import json
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from msgspec.structs import replace

from ipc.unix_socket import listen_stream
from supervisor.control import messages as control
from supervisor.control.messages import Containment, FleetStatus, SessionStatus, Verb
from supervisor.control.server import Client, ControlServer
from supervisor.keeper.loop import Loop

CONTAINMENT = Containment(kill="tree", memory="none", cpu="none", pids="none")
_DESCRIPTIONS = {"RUNNING": "pid {pid}, uptime 0:00:06", "FATAL": "no such file", "STOPPED": "Not started"}


def session(name: str, state: str = "RUNNING", *, group: str = "", pid: int = 0, **changes: Any) -> SessionStatus:
    pid = pid or (4242 if state == "RUNNING" else 0)
    fields: dict[str, Any] = {
        "name": name, "group": group or name, "tags": [], "state": state, "desired": "up", "pid": pid, "worker_pid": 0,
        "epoch": 1, "started_at": None, "uptime_s": 6.0 if pid else None, "restarts": 0, "exit": None, "io": "pty",
        "offset": 0, "lost_bytes": 0, "health": "none", "containment": CONTAINMENT, "log": None,
        "description": _DESCRIPTIONS.get(state, "").format(pid=pid),
    }  # fmt: skip
    return SessionStatus(**fields | changes)


class StandInFleet:
    """`script` answers in place of the stand-in: by the name of the request's type."""

    def __init__(self, runtime_dir: str, *, name: str = "agents", keeper_pid: int = 0, **record: Any) -> None:
        self.name = name
        self.runtime_dir = runtime_dir
        self.socket = f"{runtime_dir}/control.sock"
        self.sessions: dict[str, SessionStatus] = {}
        self.script: dict[str, Callable[[Client, Any], None]] = {}
        self.requests: list[control.Request] = []
        self._keeper_pid = keeper_pid or os.getpid()
        os.makedirs(runtime_dir, mode=0o700, exist_ok=True)
        with open(f"{runtime_dir}/fleet.json", "w") as file:
            json.dump({"version": 1, "name": name, "pid": self._keeper_pid, **record}, file)
        self._loop = Loop()
        self._listener = listen_stream(self.socket)
        self._server = ControlServer(
            self._listener, self._loop, welcome=self._welcome, serve=self._serve, on_lost=lambda _: None
        )
        self._stop, stopped = socket.socketpair()
        self._stopped = stopped
        self._running = True
        self._loop.watch(stopped.fileno(), self._end)
        self._thread = threading.Thread(target=self._run, name=f"fleet {name}")
        self._thread.start()

    def add(self, *sessions: SessionStatus) -> None:
        self.sessions |= {one.name: one for one in sessions}

    def close(self) -> None:
        if self._running:
            self._stop.send(b"x")
            self._thread.join()
        for end in (self._stop, self._stopped, self._listener):
            end.close()
        with suppress(FileNotFoundError):
            os.unlink(self.socket)

    def asked(self, kind: type[Any]) -> list[Any]:
        return [request for request in self.requests if isinstance(request, kind)]

    def _run(self) -> None:
        while self._running:
            self._loop.run_once()
        self._server.close()
        self._loop.close()

    def _end(self) -> None:
        self._running = False

    def _welcome(self) -> control.Welcome:
        return control.Welcome(self.name, "1.2.3", self._keeper_pid)

    def _serve(self, client: Client, request: control.Request) -> None:
        self.requests.append(request)
        answer = self.script.get(type(request).__name__) or getattr(self, f"_{type(request).__name__}")
        answer(client, request)

    # --- what a fleet says ---

    def _fit(self, selectors: list[str]) -> tuple[list[SessionStatus], list[str]]:
        found: list[SessionStatus] = []
        unknown = []
        for selector in selectors or ["all"]:
            group, colon, name = selector.rpartition(":")
            fitting = [
                one
                for one in self.sessions.values()
                if selector == "all" or ((not colon or one.group == group) and name in {"*", "", one.name})
            ]
            found += fitting
            unknown += [] if fitting else [selector]
        return found, unknown

    def _GetStatus(self, client: Client, request: control.GetStatus) -> None:  # noqa: N802 - found by its name
        found, unknown = self._fit(request.selectors)
        fleet = FleetStatus(
            self.name, "running", self._keeper_pid, {}, "2026-01-01T00:00:00.000Z", self.runtime_dir, ""
        )
        client.tell(control.StatusReport(request.id, fleet, found, unknown))

    def _Act(self, client: Client, request: control.Act) -> None:  # noqa: N802 - as above
        found, unknown = self._fit(request.selectors)
        for selector in unknown:
            what = "no such group" if ":" in selector else "no such process"
            client.tell(control.Outcome(request.id, selector, what, ok=False))
        for one in found:
            result, ok, state = _fate(request.verb, one)
            self.sessions[one.name] = replace(one, state=state)
            client.tell(control.Outcome(request.id, _shown(one), result, ok))
        client.tell(control.Done(request.id))

    def _SendSignal(self, client: Client, request: control.SendSignal) -> None:  # noqa: N802 - as above
        for one in self._fit(request.selectors)[0]:
            result = "signalled" if one.pid else "not running"
            client.tell(control.Outcome(request.id, _shown(one), result, bool(one.pid)))
        client.tell(control.Done(request.id))

    def _LogOrder(self, client: Client, request: control.LogOrder) -> None:  # noqa: N802 - as above
        for one in self._fit(request.selectors)[0]:
            client.tell(control.Outcome(request.id, _shown(one), "cleared", ok=True))
        client.tell(control.Done(request.id))

    def _Reread(self, client: Client, request: control.Reread) -> None:  # noqa: N802 - as above
        client.tell(plan(request.id))

    def _Update(self, client: Client, request: control.Update) -> None:  # noqa: N802 - as above
        client.tell(plan(request.id))

    def _Scale(self, client: Client, request: control.Scale) -> None:  # noqa: N802 - as above
        client.tell(control.PlanReport(request.id, [], [], ["web"], {}, 1))

    def _AddGroup(self, client: Client, request: control.AddGroup) -> None:  # noqa: N802 - as above
        client.tell(control.PlanReport(request.id, [request.group], [], [], {}, 0))

    def _RemoveGroup(self, client: Client, request: control.RemoveGroup) -> None:  # noqa: N802 - as above
        client.tell(control.PlanReport(request.id, [], [request.group], [], {}, 0))

    def _Avail(self, client: Client, request: control.Avail) -> None:  # noqa: N802 - as above
        rows = [
            control.AvailRow("cat", in_use=True, autostart=True, priority=100),
            control.AvailRow("web:web-0", in_use=False, autostart=False, priority=7),
        ]
        client.tell(control.AvailReport(request.id, rows))

    def _Inspect(self, client: Client, request: control.Inspect) -> None:  # noqa: N802 - as above
        if request.session not in self.sessions:
            client.tell(control.Failed(request.id, f"no such process: {request.session}", "no_such_session"))
            return
        client.tell(control.Facts(request.id, {"session": request.session, "ring": {"size": 65536}}))

    def _Explain(self, client: Client, request: control.Explain) -> None:  # noqa: N802 - as above
        told = [{"time": 1_767_225_600.5, "text": "exited with 3: restarted by its policy"}]
        client.tell(control.Facts(request.id, {"session": request.session, "told": told}))

    def _FollowEvents(self, client: Client, request: control.FollowEvents) -> None:  # noqa: N802 - as above
        for number in range(min(request.last, 2)):
            client.tell(happened(request.id, f"web-{number}"))
        if not request.follow:
            client.tell(control.Done(request.id))

    def _Reload(self, client: Client, request: control.Reload) -> None:  # noqa: N802 - as above
        client.tell(control.Done(request.id))

    def _Shutdown(self, client: Client, request: control.Shutdown) -> None:  # noqa: N802 - as above
        client.tell(control.Done(request.id))


def happened(request: int, name: str) -> control.Happened:
    return control.Happened(request, "2026-01-01T00:00:00.000Z", name, "exited", "EXITED", {"code": 3})


def plan(request: int) -> control.PlanReport:
    changes = {"web-0": {"command": "restart", "log.keep": "live"}}
    return control.PlanReport(request, ["new"], ["old"], ["web"], changes, 4)


def _shown(one: SessionStatus) -> str:
    return one.name if one.group == one.name else f"{one.group}:{one.name}"


def _fate(verb: Verb, one: SessionStatus) -> tuple[str, bool, str]:
    up = one.state == "RUNNING"
    match verb:
        case Verb.STOP:
            return ("stopped", True, "STOPPED") if up else ("not running", True, one.state)
        case Verb.START if up:
            return "already started", True, "RUNNING"
        case _ if one.state == "FATAL":
            return "spawn error", False, "FATAL"
        case _:
            return "started", True, "RUNNING"


class MuteListener:
    """Accepts, and then does what a test says."""

    def __init__(self, path: str, behave: Callable[[socket.socket], None]) -> None:
        self._listener = listen_stream(path)
        self._behave = behave
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            select.select([self._listener], [], [])
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock, suppress(OSError):
                self._behave(sock)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@contextmanager
def mute_listener(path: str, behave: Callable[[socket.socket], None]) -> Iterator[None]:
    listener = MuteListener(path, behave)
    try:
        yield
    finally:
        listener.close()
