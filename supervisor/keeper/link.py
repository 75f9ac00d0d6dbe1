"""The conversation with whichever supervisor there is just now.

A supervisor that does not read is no reason to wait, and one that lies is no reason to guess: both lose the
connection, with the reason, and are replaced. While more than a few answers wait, no further requests are read.
"""

import contextlib
import socket
from collections import deque
from collections.abc import Callable

import msgspec

from ipc.errors import UNREADABLE
from supervisor.keeper import packets
from supervisor.keeper.log import log
from supervisor.keeper.loop import READABLE, WRITABLE, Loop
from supervisor.keeper.messages import (
    MAX_PACKET_BYTES,
    OLDEST,
    VERSION,
    Answer,
    Asked,
    Event,
    Goodbye,
    Hello,
    Unanswered,
    decode_request,
    encode,
)

_PACKETS_AT_ONCE = 16
_BUSY_FROM = 64
_OUTBOX_MAX = 8192


class LyingPeerError(Exception):
    pass


class LinkState(msgspec.Struct):
    """What a re-executed keeper goes on with."""

    fd: int = -1
    greeted: bool = False
    outbox: list[bytes] = msgspec.field(default_factory=list)


class Link:
    def __init__(
        self,
        loop: Loop,
        *,
        on_hello: Callable[[], None],
        on_request: Callable[[Unanswered | Asked], None],
        on_loss: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._on_hello = on_hello
        self._on_request = on_request
        self._on_loss = on_loss
        self._connection: socket.socket | None = None
        self._greeted = False
        self._outbox: deque[bytes] = deque()

    def connect(self, connection: socket.socket) -> None:
        self.close()
        connection.setblocking(False)
        self._connection = connection
        self._loop.watch(connection.fileno(), self._ready)

    def resume(self, state: LinkState) -> None:
        if state.fd >= 0:
            self.connect(socket.socket(fileno=state.fd))
            self._greeted = state.greeted
            self._outbox.extend(state.outbox)
            self._flush()

    def state(self) -> LinkState:
        fd = self._connection.fileno() if self._connection else -1
        return LinkState(fd, self._greeted, list(self._outbox))

    def tell(self, message: Event | Answer) -> None:
        """Lost if nobody is there: reports are told again to the next one, all else stands in the table."""
        if self._connection and self._greeted:
            self._outbox.append(encode(message))
            self._flush()

    def close(self) -> None:
        if self._connection:
            self._loop.unwatch(self._connection.fileno())
            self._connection.close()
        self._connection, self._greeted = None, False
        self._outbox.clear()

    def refuse(self, reason: str) -> None:
        log(f"disconnecting the supervisor: {reason}")
        if self._connection:
            with contextlib.suppress(OSError):
                packets.send(self._connection, encode(Goodbye(reason)))
        self.close()
        self._on_loss()

    def _ready(self) -> None:
        self._flush()
        for _ in range(_PACKETS_AT_ONCE):
            if self._connection is None or len(self._outbox) > _BUSY_FROM or not self._take_one(self._connection):
                return

    def _take_one(self, connection: socket.socket) -> bool:
        """Whether there may be more."""
        try:
            packet = packets.receive(connection, MAX_PACKET_BYTES)
            if packet is None:
                self.close()
                self._on_loss()
                return False
            self._take(packet)
        except BlockingIOError:
            return False
        except (packets.BrokenPacketError, LyingPeerError) as lie:
            self.refuse(str(lie))
        return True

    def _take(self, packet: packets.Packet) -> None:
        packets.close_all(packet.fds)
        if packet.fds:
            raise LyingPeerError("no request comes with fds")
        try:
            request = decode_request(packet.payload)
        except UNREADABLE as error:
            raise LyingPeerError(str(error)) from error
        if isinstance(request, Hello):
            self._greet(request)
        elif self._greeted:
            self._on_request(request)
        else:
            raise LyingPeerError("the first message must be Hello")

    def _greet(self, hello: Hello) -> None:
        if not OLDEST <= hello.version <= VERSION:
            raise LyingPeerError(f"the supervisor speaks version {hello.version}, the keeper {VERSION}")
        if self._greeted:
            raise LyingPeerError("Hello comes once")
        self._greeted = True
        self._on_hello()

    def _flush(self) -> None:
        connection = self._connection
        try:
            while connection and self._outbox:
                packets.send(connection, self._outbox[0])
                self._outbox.popleft()
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):  # the end of its connection is what is read next
            self._outbox.clear()
        if len(self._outbox) > _OUTBOX_MAX:
            self.refuse("it does not read what it is told")
        elif connection:
            self._loop.interest(connection.fileno(), self._interest())

    def _interest(self) -> int:
        reading = READABLE if len(self._outbox) <= _BUSY_FROM else 0
        return reading | (WRITABLE if self._outbox else 0)
