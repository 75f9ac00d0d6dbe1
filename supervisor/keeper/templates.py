"""Which template services are forked from: the one in use, and during an upgrade two.

                 load                  put on trial              keep
    in use  ───────────> + candidate ───────────────> in use   ─────────> in use (the new one)
    (old)      exec         loading                   + reserve  fall back
                                                      (old)     ─────────> in use (the old one)

A template that is forked from the keeper has what the keeper has loaded. One of newer code cannot be: its modules would
mix with ours. It is exec'ed, and imports for itself.

A template that dies is followed by its twin, which was forked from it and has what it had loaded. Only where both die
at once one is forked that imports again; its fingerprint then says whether the files are still the same.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence

import msgspec

from supervisor.keeper import packets
from supervisor.keeper.backoff import FIRST_DELAY_S, Backoff
from supervisor.keeper.children import Children, is_child
from supervisor.keeper.exec_template import LOAD_MAX_S, Loading, exec_template
from supervisor.keeper.log import log
from supervisor.keeper.loop import Loop
from supervisor.keeper.template import MAX_BYTES, TWIN, ForkRequest, fork_template


class _Template:
    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection: socket.socket | None = connection
        self.since_ns = time.monotonic_ns()
        self.is_ready = False


class Templates:
    def __init__(self, preload: Sequence[str], loop: Loop, children: Children) -> None:
        self._preload = preload
        self._loop = loop
        self._children = children
        self._in_use: _Template | None = None
        self._reserve: _Template | None = None
        self._candidate: _Template | None = None
        self._twin: _Template | None = None
        self._unborn: _Template | None = None  # a twin that has not said its pid yet
        self._all: list[_Template] = []
        self._backoff = Backoff()
        self._fingerprint = b""
        self._ending = False
        self._waiting: list[Callable[[], None]] = []

    def begin(self) -> None:
        try:
            self._in_use = self._watched(*fork_template(self._preload))
        except OSError as error:
            self._begin_again(f"could not be forked: {error}", 0.0)

    def request(self, request: ForkRequest, fds: Sequence[int]) -> bool:
        """False: there is none just now."""
        template = self._in_use
        try:
            if template and template.connection:
                packets.send(template.connection, msgspec.msgpack.encode(request), fds)
                return True
        except OSError as error:
            log(f"the template takes no request: {error}")
        return False

    def when_ready(self, act: Callable[[], None]) -> None:
        """Now, if a fork from here would take no time; else once it does not."""
        if self._in_use and self._in_use.is_ready:
            act()
        else:
            self._waiting.append(act)

    def kill(self) -> None:
        """It hangs."""
        if self._in_use:
            os.kill(self._in_use.pid, signal.SIGKILL)

    def end(self) -> None:
        self._ending = True
        for template in self._all:
            self._let_go(template)

    def end_now(self) -> None:
        for template in self._all:
            os.kill(template.pid, signal.SIGKILL)

    @property
    def ended(self) -> bool:
        return not self._all and self._unborn is None

    # ---- one of newer code

    @property
    def is_loading(self) -> bool:
        return self._candidate is not None

    def load(self, argv: Sequence[str], on_ready: Callable[[], None], on_failure: Callable[[str], None]) -> None:
        """OSError where it cannot even be forked."""
        loading = exec_template(argv)
        candidate = self._candidate = self._watched(loading.pid, loading.connection, loading)

        def is_over(why_not: str) -> None:
            if self._candidate is candidate:
                if why_not:
                    self._candidate = None
                    self._let_go(candidate)
                    if candidate in self._all:  # it hangs
                        os.kill(candidate.pid, signal.SIGKILL)
                    on_failure(why_not)
                else:
                    on_ready()

        loading.when_over(is_over)
        self._loop.call_in(LOAD_MAX_S, lambda: loading.over(f"the installed code is not loaded after {LOAD_MAX_S:g} s"))

    def put_on_trial(self) -> None:
        self._reserve, self._in_use, self._candidate = self._in_use, self._candidate, None
        self._let_go(self._twin)
        self._twin = None

    def keep(self) -> None:
        self._let_go(self._reserve)
        self._reserve = None
        self._ask_for_twin()

    def fall_back(self) -> None:
        self._let_go(self._candidate)
        self._candidate = None
        if self._reserve:
            self._let_go(self._in_use)
            self._in_use, self._reserve = self._reserve, None
            self._ask_for_twin()

    # ---- the twin

    def _ask_for_twin(self) -> None:
        if self._twin or self._unborn or self._reserve or self._ending:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            is_sent = self.request(ForkRequest(TWIN, "", (), (), None), (theirs.fileno(),))
        if not is_sent:
            ours.close()
            return
        ours.setblocking(False)
        unborn = self._unborn = _Template(0, ours)
        self._loop.watch(ours.fileno(), lambda: self._twin_speaks(unborn))

    def _twin_speaks(self, twin: _Template) -> None:
        if twin is not self._unborn or twin.connection is None:
            self._is_ready(twin, None)
            return
        try:
            packet = packets.receive(twin.connection, MAX_BYTES)
        except BlockingIOError:
            return
        self._unborn = None
        if packet is None or not is_child(pid := _pid(packet.payload)):
            self._let_go(twin)
            self._loop.call_in(FIRST_DELAY_S, self._ask_for_twin)
            if self._in_use is None and not self._ending:
                self._load_again("and its twin before it could speak")
            return
        twin.pid, twin.is_ready = pid, True
        self._all.append(twin)
        self._children.expect(pid, lambda death: self._died(twin, str(death.status), None))
        if self._ending or self._reserve:
            self._let_go(twin)
        elif self._in_use is None:
            self._use(twin)
        else:
            self._twin = twin

    def _use(self, twin: _Template) -> None:
        log("the template's twin takes its place")
        self._in_use, self._twin = twin, None
        self._begin_to_serve()

    def _begin_to_serve(self) -> None:
        self._ask_for_twin()
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()

    # ---- their lives

    def _watched(self, pid: int, connection: socket.socket, loading: Loading | None = None) -> _Template:
        template = _Template(pid, connection)
        self._all.append(template)
        self._children.expect(pid, lambda death: self._died(template, str(death.status), loading))
        self._loop.watch(connection.fileno(), lambda: self._is_ready(template, loading))
        return template

    def _is_ready(self, template: _Template, loading: Loading | None) -> None:
        if template.connection is None:
            return
        try:
            packet = packets.receive(template.connection, MAX_BYTES)
        except BlockingIOError:
            return
        if packet is None:
            self._let_go(template)
            return
        template.is_ready = True
        if loading:
            loading.over("")
            return
        self._begin_to_serve()
        fingerprint = packet.payload.partition(b"\n")[2]
        if self._fingerprint not in (b"", fingerprint):
            log("the code on disk is not what the last template had loaded: services will run what is there now")
        self._fingerprint = fingerprint

    def _let_go(self, template: _Template | None) -> None:
        """It ends when it sees the end of its connection."""
        if template and template.connection:
            self._loop.unwatch(template.connection.fileno())
            template.connection.close()
            template.connection = None

    def _died(self, template: _Template, how: str, loading: Loading | None) -> None:
        self._let_go(template)
        self._all.remove(template)
        if loading:
            loading.over(f"the installed code cannot be loaded ({how})")
        if template is self._reserve:
            self._reserve = None
        if template is self._twin:
            self._twin = None
            self._ask_for_twin()
        if template is self._in_use and not self._ending:
            self._in_use = None
            self._begin_again(how, (time.monotonic_ns() - template.since_ns) / 1e9)

    def _begin_again(self, how: str, lived_s: float) -> None:
        if self._reserve:  # what is on trial has lost its template: back to what is known to work
            self._in_use, self._reserve = self._reserve, None
            return
        log(f"the template died ({how})")
        self._backoff = self._backoff.after_death(lived_s)
        if self._twin:
            self._use(self._twin)
        elif self._unborn is None:  # else what it says, or its end, comes next
            self._load_again(how)

    def _load_again(self, how: str) -> None:
        log(f"the template died ({how}): a new one loads its code from disk")
        self._loop.call_in(self._backoff.delay_s, self._begin_unless_ending)

    def _begin_unless_ending(self) -> None:
        if not self._ending:
            self.begin()


def _pid(spoken: bytes) -> int:
    return int(spoken.partition(b"\n")[0])
