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
from supervisor.keeper import packets
from supervisor.keeper.backoff import Backoff
from supervisor.keeper.children import Children, Death, is_child
from supervisor.keeper.log import log
from supervisor.keeper.loop import Loop
from supervisor.keeper.messages import Event, ServiceDied, ServiceRow, ServiceStarted, ServiceStopped, WaitStatus
from supervisor.keeper.template import GO, MAX_BYTES, READY, ForkRequest, fork_template
from supervisor.keeper.wards import Wards

START_MAX_S = 30.0
STOP_MAX_S = 5.0
LEAVE_MAX_S = 1.0
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
        self._preload = preload
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
        self._template_pid = 0
        self._template: socket.socket | None = None
        self._template_backoff = Backoff()
        self._template_since_ns = 0
        self._fingerprint = b""

    def run(self) -> None:
        self._fork_template()
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

    # ---- the template

    def _fork_template(self) -> None:
        self._template_since_ns = time.monotonic_ns()
        try:
            self._template_pid, self._template = fork_template(self._preload)
        except OSError as error:
            self._template_died(f"could not be forked: {error}")
            return
        self._children.expect(self._template_pid, lambda death: self._template_died(str(death.status)))
        self._loop.watch(self._template.fileno(), self._template_ready)

    def _template_ready(self) -> None:
        if self._template is None:
            return
        try:
            packet = packets.receive(self._template, MAX_BYTES)
        except BlockingIOError:
            return
        if packet is None:
            self._drop_template()
            return
        if self._fingerprint not in (b"", packet.payload):
            log("the code on disk is not what the last template had loaded: services will run what is there now")
        self._fingerprint = packet.payload

    def _drop_template(self) -> None:
        if self._template:
            self._loop.unwatch(self._template.fileno())
            self._template.close()
            self._template = None

    def _template_died(self, how: str) -> None:
        self._drop_template()
        self._template_pid = 0
        if self._ending:
            return
        self._template_backoff = self._template_backoff.after_death(_seconds_since(self._template_since_ns))
        log(f"the template died ({how}): a new one loads its code from disk")
        self._loop.call_in(self._template_backoff.delay_s, self._fork_template)

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
        try:
            if self._template:
                packets.send(self._template, msgspec.msgpack.encode(request), fds)
                return True
        except OSError as error:
            log(f"the template takes no request: {error}")
        return False

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
        if service.gate >= 0 and service.started_ns == started_ns and self._template_pid:
            log(f"{service.spec.name} does not start: killing the template")
            os.kill(self._template_pid, signal.SIGKILL)

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
        service.backoff = service.backoff.after_death(_seconds_since(service.started_ns), self._steady_s)
        delay_s = service.backoff.delay_s
        log(f"{service.spec.name} died ({status}), the next one starts in {delay_s:g} s")
        self._loop.call_in(delay_s, lambda: self._start(service))
        self._tell(ServiceDied(service.spec.name, status, delay_s))
        self._after_crash(service.spec)

    # ---- the end

    def replace_supervisor(self) -> None:
        """Without its channel it is of no use, and must not stand in the way of the next one."""
        for service in self.all.values():
            if service.spec.decides and service.pid:
                self._loop.call_in(LEAVE_MAX_S, functools.partial(_kill_if_still, service, service.pid))

    def end(self, names: Sequence[str]) -> None:
        """Ask these to end, and the template; none of them is started again."""
        self._ending = set(names) | {"template"}
        self._drop_template()
        self._signal_ending(signal.SIGTERM)
        self._loop.call_in(STOP_MAX_S, lambda: self._signal_ending(signal.SIGKILL))

    @property
    def ended(self) -> bool:
        return not self._template_pid and not any(self.all[name].pid for name in self._ending if name in self.all)

    def _signal_ending(self, signum: int) -> None:
        for name in self._ending:
            if name in self.all and (pid := self.all[name].pid):
                os.kill(pid, signum)
        if signum == signal.SIGKILL and self._template_pid:
            os.kill(self._template_pid, signum)


def _kill_if_still(service: Service, pid: int) -> None:
    if service.pid == pid:
        os.kill(pid, signal.SIGKILL)


def _seconds_since(then_ns: int) -> float:
    return (time.monotonic_ns() - then_ns) / 1e9
