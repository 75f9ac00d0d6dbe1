"""Processes that serve the whole fleet, router and supervisor among them: started again whenever they die.

At once the first time, with backoff when they die again and again. Each is forked by the template and is the keeper's
child from the first instant in which it does anything (see template.py). What an earlier keeper left running is ended,
and gone, before its successor starts: two routers would write every byte twice.
"""

import contextlib
import functools
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence

import msgspec

from childproc.identity import Identity, identify
from supervisor.keeper.backoff import Backoff
from supervisor.keeper.children import Children, Death, is_child
from supervisor.keeper.log import log
from supervisor.keeper.loop import Loop
from supervisor.keeper.messages import Event, ServiceDied, ServiceRow, ServiceStarted, ServiceStopped, WaitStatus
from supervisor.keeper.table import NotPossibleError
from supervisor.keeper.template import GO, READY, WORDS, ForkRequest
from supervisor.keeper.templates import Templates
from supervisor.keeper.trial import SupervisorTrial
from supervisor.keeper.wards import Wards

START_MAX_S = 30.0
STOP_MAX_S = 5.0
LEAVE_MAX_S = 1.0
HOPELESS_DEATHS = 4
CHANNEL = "keeper"


class ServiceSpec(msgspec.Struct, frozen=True):
    name: str
    entry: str  # module:function, called with a ServiceJob
    args: tuple[str, ...] = ()
    fds: dict[str, int] = {}
    decides: bool = False  # the supervisor: it gets the channel to the keeper as fd "keeper"


class Service(msgspec.Struct):
    spec: ServiceSpec
    pid: int = 0
    start_ticks: int = 0
    pidfd: int = -1  # of one that another keeper started
    gate: int = -1
    started_ns: int = 0
    backoff: Backoff = Backoff()
    predecessor: WaitStatus | None = None


class Services:
    def __init__(
        self,
        services: Sequence[Service],
        preload: Sequence[str],
        loop: Loop,
        children: Children,
        *,
        tell: Callable[[Event], None],
        on_channel: Callable[[socket.socket], None],
        after_crash: Callable[[ServiceSpec], None],
        before_start: Callable[[], None],
        steady_s: float,
        containment: tuple[str, ...] = (),
    ) -> None:
        self.all = {service.spec.name: service for service in services}
        self._loop = loop
        self._children = children
        self._wards = Wards(loop)
        self._tell = tell
        self._on_channel = on_channel
        self._after_crash = after_crash
        self._before_start = before_start
        self._steady_s = steady_s
        self._containment = containment  # of those that are to outlive the keeper
        self._ending: set[str] = set()
        self._replaced: set[str] = set()
        self._templates = Templates(preload, loop, children)
        self.trial = SupervisorTrial(self._templates, loop, self._replace_deciders)

    def run(self) -> None:
        self._templates.begin()
        for service in self.all.values():
            service.gate = -1  # a predecessor's: one that was about to start has noticed, and ends
            if service.pidfd >= 0:
                self._end_stranger(service)
            elif service.pid:
                self._expect(service)
            else:
                self._start(service)

    def rows(self) -> list[ServiceRow]:
        return [ServiceRow(service.spec.name, service.pid) for service in self.all.values()]

    @property
    def supervisor_is_hopeless(self) -> bool:
        """It has died so often and so quickly that the next one will, too."""
        return any(one.spec.decides and one.backoff.quick_deaths >= HOPELESS_DEATHS for one in self.all.values())

    def identities(self) -> dict[str, Identity]:
        """Of those that run."""
        return {name: Identity(service.pid, service.start_ticks) for name, service in self.all.items() if service.pid}

    def _end_stranger(self, service: Service) -> None:
        """However long it takes: one that hangs in the kernel may still write when it comes back."""

        def on_gone() -> None:
            os.close(service.pidfd)
            service.pid, service.pidfd = 0, -1
            self._after_crash(service.spec)
            self._start(service)

        self._wards.expect_gone(service.pidfd, on_gone)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(service.pidfd, signal.SIGKILL)

    # ---- a service

    def _start(self, service: Service) -> None:
        if service.spec.name in self._ending:
            return
        service.started_ns = time.monotonic_ns()
        try:
            self._ask_for(service)
        except OSError as error:
            log(f"{service.spec.name} cannot be started: {error}")
            self._died(service, None)

    def _ask_for(self, service: Service) -> None:
        """It is not there yet: while the template is loading, the request waits in its socket."""
        gate, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel: socket.socket | None = None
        fds = dict(service.spec.fds)
        with childs, contextlib.ExitStack() as stack:
            if service.spec.decides and self.trial.words >= 0:
                fds[WORDS] = self.trial.words
            if service.spec.decides:
                channel, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                fds[CHANNEL] = stack.enter_context(other_end).fileno()
            sent = self._request(service, (childs.fileno(), *fds.values()), tuple(fds))
        gate.setblocking(False)
        service.gate = gate.detach()
        self._loop.watch(service.gate, lambda: self._read_gate(service, channel))
        if sent:
            self._loop.call_in(START_MAX_S, lambda: self._too_slow(service, service.started_ns))

    def _request(self, service: Service, fds: Sequence[int], names: tuple[str, ...]) -> bool:
        """False: the template is gone, and the gate ends at once because nobody has its other end."""
        spec = service.spec
        containment = () if spec.decides else self._containment
        request = ForkRequest(spec.name, spec.entry, spec.args, names, service.predecessor, containment)
        return self._templates.request(request, fds)

    def _read_gate(self, service: Service, channel: socket.socket | None) -> None:
        try:
            message = os.read(service.gate, 64)
        except BlockingIOError:
            return
        except ConnectionResetError:
            message = b""
        wanted = service.spec.name not in self._ending  # else it ends without its G
        if wanted and message[:1] == READY and is_child(pid := int(message[1:])):  # else killed, and reaped
            self._release(service, pid, channel)
        else:
            if channel:
                channel.close()
            self._died(service, None)
        self._loop.unwatch(service.gate)
        os.close(service.gate)
        service.gate = -1

    def _release(self, service: Service, pid: int, channel: socket.socket | None) -> None:
        service.pid, service.start_ticks = pid, identify(pid).start_ticks
        self._before_start()
        self._expect(service)
        self._tell(ServiceStarted(service.spec.name, pid))
        if channel:
            self._on_channel(channel)
        with contextlib.suppress(BrokenPipeError):  # killed meanwhile: its death comes next
            os.write(service.gate, GO)

    def _too_slow(self, service: Service, started_ns: int) -> None:
        if service.gate >= 0 and service.started_ns == started_ns:
            log(f"{service.spec.name} does not start: killing the template")
            self._templates.kill()

    def _expect(self, service: Service) -> None:
        self._children.expect(service.pid, lambda death: self._on_death(service, death))
        name = service.spec.name
        self._children.follow(service.pid, lambda is_stopped: self._tell(ServiceStopped(name, is_stopped)))

    def _on_death(self, service: Service, death: Death) -> None:
        service.pid = 0
        service.predecessor = death.status
        self._died(service, death.status)

    def _died(self, service: Service, status: WaitStatus | None) -> None:
        if service.spec.name in self._ending:
            return
        was_replaced = service.spec.name in self._replaced
        self._replaced.discard(service.spec.name)
        if service.spec.decides:
            self.trial.supervisor_died(status, was_replaced=was_replaced)
        if was_replaced:
            service.backoff = Backoff()
            self._loop.call_in(0, lambda: self._start(service))
            self._after_crash(service.spec)
            return
        service.backoff = service.backoff.after_death(_seconds_since(service.started_ns), self._steady_s)
        delay_s = service.backoff.delay_s
        log(f"{service.spec.name} died ({status}), the next one starts in {delay_s:g} s")
        self._loop.call_in(delay_s, lambda: self._start(service))
        self._tell(ServiceDied(service.spec.name, status, delay_s))
        self._after_crash(service.spec)

    def replace(self, name: str, on_end: Callable[[], None] = lambda: None) -> None:
        """From the template in use, once that has loaded its code: until then the old one serves."""
        if name not in self.all:
            raise NotPossibleError(f"there is no service {name}")
        self._templates.when_ready(lambda: self._replace(self.all[name], on_end))

    def _replace(self, service: Service, on_end: Callable[[], None]) -> None:
        """One that is between two lives comes from the template anyway."""
        name = service.spec.name
        on_end()
        if service.pid and name not in self._ending:
            self._replaced.add(name)
            os.kill(service.pid, signal.SIGTERM)
            self._loop.call_in(STOP_MAX_S, functools.partial(_kill_if_still, service, service.pid))

    def _replace_deciders(self) -> None:
        for name in [name for name, service in self.all.items() if service.spec.decides]:
            self.replace(name)

    # ---- the end

    def replace_supervisor(self) -> None:
        """Without its channel it is of no use, and must not stand in the way of the next one."""
        for service in self.all.values():
            if service.spec.decides and service.pid:
                self._loop.call_in(LEAVE_MAX_S, functools.partial(_kill_if_still, service, service.pid))

    def end(self, names: Sequence[str]) -> None:
        """Ask these to end, and the template; none of them is started again."""
        self._ending = set(names)
        self._templates.end()
        self._signal_ending(signal.SIGTERM)
        self._loop.call_in(STOP_MAX_S, lambda: self._signal_ending(signal.SIGKILL))

    @property
    def ended(self) -> bool:
        return self._templates.ended and not any(self.all[name].pid for name in self._ending if name in self.all)

    def _signal_ending(self, signum: int) -> None:
        for name in self._ending:
            if name in self.all and (pid := self.all[name].pid):
                os.kill(pid, signum)
        if signum == signal.SIGKILL:
            self._templates.end_now()


def _kill_if_still(service: Service, pid: int) -> None:
    if service.pid == pid:
        os.kill(pid, signal.SIGKILL)


def _seconds_since(then_ns: int) -> float:
    return (time.monotonic_ns() - then_ns) / 1e9
