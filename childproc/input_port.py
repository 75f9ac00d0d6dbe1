"""The worker's socket: clients come and go, and say what the program should read.

Never blocks: a client that does not take its answers is dropped, one that breaks the protocol is told why and
dropped.
"""

import select
import socket
from collections.abc import Callable

from ipc.errors import ProtocolError
from ipc.unix_socket import MAX_PACKET_BYTES, is_ours, listen_seqpacket
from ipc.worker_messages import (
    VERSION,
    CloseInput,
    FromWorker,
    Goodbye,
    Greeting,
    Hello,
    Input,
    Resize,
    decode_to_worker,
    encode,
)

MAX_CLIENTS = 64


class InputPort:
    """`poll` is the worker's; fds of clients come and go in it."""

    def __init__(self, path: str, poll: select.epoll) -> None:
        self._poll = poll
        self._socket = listen_seqpacket(path)
        self._clients: dict[int, socket.socket] = {}
        self._greeted: set[int] = set()
        poll.register(self._socket, select.EPOLLIN)

    @property
    def listening_fd(self) -> int:
        return self._socket.fileno()

    def has(self, fd: int) -> bool:
        return fd in self._clients

    def accept(self) -> None:
        try:
            client, _ = self._socket.accept()
        except OSError:
            return
        client.setblocking(False)
        if len(self._clients) >= MAX_CLIENTS or not is_ours(client):
            reason = "not permitted" if len(self._clients) < MAX_CLIENTS else f"more than {MAX_CLIENTS} clients"
            _try_send(client, Goodbye(reason))
            client.close()
            return
        self._clients[client.fileno()] = client
        self._poll.register(client, select.EPOLLIN)

    def receive(self, fd: int, greeting: Callable[[], Greeting]) -> Input | CloseInput | Resize | None:
        """One message of this client that the worker has to act on."""
        try:
            packet = self._clients[fd].recv(MAX_PACKET_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            packet = b""
        if not packet:
            self._drop(fd)
            return None
        try:
            message = decode_to_worker(packet)
            if isinstance(message, Hello):
                self._greet(fd, message, greeting)
                return None
        except ProtocolError as error:
            self._expel(fd, str(error))
            return None
        if fd not in self._greeted:
            self._expel(fd, "the first message must be hello")
            return None
        return message

    def _greet(self, fd: int, hello: Hello, greeting: Callable[[], Greeting]) -> None:
        if hello.version != VERSION:
            raise ProtocolError(f"protocol version {hello.version}, this worker speaks {VERSION}")
        self._greeted.add(fd)
        self.answer(fd, greeting())

    def answer(self, fd: int, message: FromWorker) -> None:
        client = self._clients.get(fd)
        if client is not None and not _try_send(client, message):
            self._drop(fd)

    def _expel(self, fd: int, reason: str) -> None:
        _try_send(self._clients[fd], Goodbye(reason))
        self._drop(fd)

    def _drop(self, fd: int) -> None:
        client = self._clients.pop(fd)
        self._greeted.discard(fd)
        self._poll.unregister(fd)
        client.close()

    def close(self) -> None:
        for fd in list(self._clients):
            self._drop(fd)
        self._socket.close()


def _try_send(client: socket.socket, message: FromWorker) -> bool:
    try:
        client.send(encode(message), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True
