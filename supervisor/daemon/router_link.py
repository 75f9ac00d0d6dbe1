"""Hints to the router. What it is to do stands in the sink files; an order only says that one has changed.

So nothing is lost when no router is there: the next one reads the files. Answers are read and reported where they say
that something failed; nobody waits for them.
"""

import socket
from collections import deque
from collections.abc import Callable

from ipc.router import router_socket_path
from ipc.router_messages import AskStatus, Drop, Failed, Goodbye, Hello, LogOrder, Serve, decode_from_router, encode
from ipc.unix_socket import MAX_PACKET_BYTES, connect_seqpacket
from supervisor.keeper.loop import READABLE, WRITABLE, Loop

Order = Serve | Drop | LogOrder | AskStatus
_CONNECT_MAX_S = 0.5


class RouterLink:
    def __init__(self, runtime_dir: str, loop: Loop, report: Callable[[str], None]) -> None:
        self._path = router_socket_path(runtime_dir)
        self._loop = loop
        self._report = report
        self._socket: socket.socket | None = None
        self._unsent: deque[bytes] = deque()
        self._id = 0

    def next_id(self) -> int:
        self._id += 1
        return self._id

    def tell(self, order: Order) -> None:
        """A router listens before it reads the files: one that cannot be reached will read what is there now."""
        if self._socket is None and not self._connect():
            return
        self._unsent.append(encode(order))
        self._flush()

    def _connect(self) -> bool:
        try:
            sock = connect_seqpacket(self._path, timeout_s=_CONNECT_MAX_S)
        except OSError:
            return False
        sock.setblocking(False)
        self._socket = sock
        self._loop.watch(sock.fileno(), self._attend)
        self._unsent.append(encode(Hello()))
        return True

    def _flush(self) -> None:
        while self._socket is not None and self._unsent:
            try:
                self._socket.send(self._unsent[0], socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self._loop.interest(self._socket.fileno(), READABLE | WRITABLE)
                return
            except OSError:
                self.close()
                return
            self._unsent.popleft()
        if self._socket is not None:
            self._loop.interest(self._socket.fileno(), READABLE)

    def _attend(self) -> None:
        self._flush()
        while self._socket is not None:
            try:
                packet = self._socket.recv(MAX_PACKET_BYTES)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self.close()
                return
            answer = decode_from_router(packet)
            if isinstance(answer, Failed | Goodbye):
                self._report(f"router: {answer.reason}")

    def close(self) -> None:
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None
            self._unsent.clear()
