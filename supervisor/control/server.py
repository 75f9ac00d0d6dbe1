"""The supervisor's end of the control line: many clients, none of whom it waits for.

The listening socket is the keeper's: connections queue while a supervisor restarts. A client that does not read its
answers is kept up to a limit, then dropped; one that breaks the protocol is told why, then dropped.
"""

import socket
from collections.abc import Callable

from ipc.errors import ProtocolError
from ipc.framing import Deframer, frame
from ipc.unix_socket import is_ours
from supervisor.control.messages import (
    MAX_REQUEST_BYTES,
    OLDEST,
    VERSION,
    Answer,
    Goodbye,
    Hello,
    Request,
    Welcome,
    decode_request,
    encode,
)
from supervisor.keeper.loop import READABLE, WRITABLE, Loop

MAX_CLIENTS = 1024
_MAX_UNSENT_BYTES = 128 << 20
_PIECE_BYTES = 1 << 16


class Client:
    """One connection. `tell` never blocks."""

    def __init__(self, sock: socket.socket, loop: Loop, on_lost: Callable[["Client"], None]) -> None:
        self._socket = sock
        self._loop = loop
        self._on_lost = on_lost
        self._unsent = bytearray()
        self.deframer = Deframer(MAX_REQUEST_BYTES)
        self.greeted = False
        self.lost = False

    @property
    def unsent_bytes(self) -> int:
        return len(self._unsent)

    def fileno(self) -> int:
        return self._socket.fileno()

    def tell(self, answer: Answer) -> None:
        if self.lost:
            return
        self._unsent += frame(encode(answer))
        if len(self._unsent) > _MAX_UNSENT_BYTES:
            self.drop()
            return
        self.flush()

    def receive(self) -> bytes | None:
        """Empty at the end of the connection; None where there is nothing now."""
        try:
            return self._socket.recv(_PIECE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def flush(self) -> None:
        waited = bool(self._unsent)
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent[: 1 << 20], socket.MSG_NOSIGNAL)]
        except BlockingIOError:
            pass
        except OSError:
            self.drop()
            return
        if waited:
            self._loop.interest(self.fileno(), READABLE | WRITABLE if self._unsent else READABLE)

    def drop(self) -> None:
        if not self.lost:
            self.lost = True
            self._loop.unwatch(self.fileno())
            self._socket.close()
            self._on_lost(self)


class ControlServer:
    """`serve(client, request)` answers through `client.tell`, now or later."""

    def __init__(
        self,
        listener: socket.socket,
        loop: Loop,
        *,
        welcome: Callable[[], Welcome],
        serve: Callable[[Client, Request], None],
        on_lost: Callable[[Client], None],
    ) -> None:
        self._listener = listener
        self._loop = loop
        self._welcome = welcome
        self._serve = serve
        self._on_lost = on_lost
        self._clients: set[Client] = set()
        listener.setblocking(False)
        loop.watch(listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        client = Client(sock, self._loop, self._forget)
        self._clients.add(client)
        self._loop.watch(sock.fileno(), lambda: self._attend(client))
        if not is_ours(sock):
            self._expel(client, "not permitted: this fleet belongs to another user")
        elif len(self._clients) > MAX_CLIENTS:
            self._expel(client, f"more than {MAX_CLIENTS} clients")

    def _attend(self, client: Client) -> None:
        if client.lost:
            return
        client.flush()
        if client.lost:
            return
        data = client.receive()
        if data is None:
            return
        if not data:
            client.drop()
            return
        try:
            for payload in client.deframer.feed(data):
                self._take(client, decode_request(payload))
        except ProtocolError as error:
            self._expel(client, str(error))

    def _take(self, client: Client, request: Request) -> None:
        if isinstance(request, Hello):
            if not OLDEST <= request.version <= VERSION:
                raise ProtocolError(f"protocol version {request.version}, this ringvisord speaks {VERSION}")
            client.greeted = True
            client.tell(self._welcome())
        elif client.greeted:
            self._serve(client, request)
        else:
            raise ProtocolError("hello comes first")

    def _expel(self, client: Client, reason: str) -> None:
        client.tell(Goodbye(reason))
        client.drop()

    def _forget(self, client: Client) -> None:
        self._clients.discard(client)
        self._on_lost(client)

    def close(self) -> None:
        for client in list(self._clients):
            client.flush()
            client.drop()
