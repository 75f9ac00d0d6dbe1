"""The viewer's line to the session's worker: keys and sizes go in, answers come back. It never blocks."""

import contextlib
import socket
from collections.abc import Callable
from enum import StrEnum

from ipc.errors import ProtocolError
from ipc.unix_socket import MAX_PACKET_BYTES, connect_seqpacket
from ipc.worker_messages import (
    Claim,
    CloseInput,
    Discarded,
    FromWorker,
    Goodbye,
    Greeting,
    Hello,
    Lease,
    Refused,
    Resize,
    ToWorker,
    Written,
    decode_from_worker,
    encode,
)
from supervisor.cli.viewer.outbox import Outbox
from supervisor.cli.viewer.redial import Redial

_CONNECT_S = 0.2
_END_OF_INPUT = 0  # the id of a request of which no answer matters


class Role(StrEnum):
    WATCHER = "watcher"
    CLAIMANT = "claimant"  # types when nobody else does
    WRITER = "writer"  # types, whoever does now
    SENDER = "sender"  # says one thing and goes, without a lease


class WorkerLink:
    """`tell` gets one line for the user."""

    def __init__(self, path: str, role: Role, tell: Callable[[str], None]) -> None:
        self._path = path
        self._role = role
        self._tell = tell
        self._socket: socket.socket | None = None
        self.redial = Redial()
        self.outbox = Outbox()
        self.greeting: Greeting | None = None
        self.writes: bool | None = self._at_first  # None: the worker has not said yet

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    @property
    def _at_first(self) -> bool | None:
        return False if self._role is Role.WATCHER else None

    @property
    def wants_to_send(self) -> bool:
        return self._socket is not None and bool(self.writes) and self.outbox.next_message() is not None

    def connect(self, now_s: float) -> None:
        self.hang_up()
        self.redial.lost(now_s)
        self.writes = self._at_first
        try:
            sock = connect_seqpacket(self._path, timeout_s=_CONNECT_S)
            sock.setblocking(False)
            sock.send(encode(Hello()))
        except OSError:
            self.redial.tried(now_s)
            return
        self._socket = sock
        self.redial.dialled(now_s)

    def hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def retire(self) -> None:
        """There is nobody to talk to until a new epoch begins."""
        self.hang_up()
        self.redial.found()
        self.outbox.forget()
        self.greeting = None

    def _lose(self, now_s: float) -> None:
        self.hang_up()
        self.redial.lost(now_s)

    # --- to the worker ---

    def type(self, data: bytes) -> None:
        self.outbox.type(data)
        self.flush()

    def flush(self) -> None:
        while self.wants_to_send and (message := self.outbox.next_message()) is not None:
            if not self._send(message):
                return
            self.outbox.sent()

    def resize(self, cols: int, rows: int) -> None:
        self._send(Resize(cols, rows))

    def end_input(self) -> None:
        self._send(CloseInput(_END_OF_INPUT))

    def _send(self, message: ToWorker) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.send(encode(message), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:  # full, or gone: then the poll says so
            return False
        return True

    # --- from the worker ---

    def receive(self, now_s: float) -> FromWorker | None:
        """One message that the viewer may have something to do with."""
        if self._socket is None:
            return None
        try:
            packet = self._socket.recv(MAX_PACKET_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            packet = b""
        with contextlib.suppress(ProtocolError):
            if packet:
                return self._understand(decode_from_worker(packet))
        self._lose(now_s)
        return None

    def _understand(self, message: FromWorker) -> FromWorker:
        match message:
            case Greeting():
                self._greet(message)
            case Lease(held):
                self._take_lease(held=held)
            case Written() | Refused() | Discarded():
                size = self.outbox.answered(message)
                if isinstance(message, Refused):
                    self._tell(f"{size} bytes of input refused: {message.reason}")
                self.flush()
            case Goodbye(reason):
                self._tell(f"the worker hangs up: {reason}")
        return message

    def _greet(self, greeting: Greeting) -> None:
        before, self.greeting = self.greeting, greeting
        self.redial.found()
        if before is not None and before.epoch != greeting.epoch:
            self.outbox.forget()
        lost = self.outbox.greeted(greeting)
        if lost:
            self._tell(f"the worker was killed: the last {lost} bytes of input may not have gone in")
        if self._role is Role.SENDER:
            self.writes = True
        elif self._role is not Role.WATCHER:
            self._send(Claim(steal=self._role is Role.WRITER))

    def _take_lease(self, *, held: bool) -> None:
        """The writer of a killed worker is the writer of the next one."""
        had = self._role is Role.WRITER
        self.writes, self._role = held, Role.WRITER if held else Role.CLAIMANT
        if not held:
            self.outbox.forget()
            self._tell("somebody else types here now" if had else "somebody else types here: --steal takes over")
