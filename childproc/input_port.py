"""The worker's socket: clients come and go, and say what the program should read.

Never blocks: a client that does not take its answers is dropped, one that breaks the protocol is told why and
dropped, one that never said hello makes place for the next. Clients have numbers of their own: that of an fd soon
belongs to somebody else, whom the answers to what is still queued do not concern.
"""

import array
import contextlib
import itertools
import select
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from childproc.writer_lease import WriterLease
from ipc.errors import ProtocolError
from ipc.unix_socket import MAX_PACKET_BYTES, is_ours, listen_seqpacket
from ipc.worker_messages import (
    OLDEST,
    VERSION,
    Claim,
    CloseInput,
    FromWorker,
    Goodbye,
    Greeting,
    Hello,
    Input,
    Lease,
    Lend,
    Lent,
    Refusal,
    Refused,
    Resize,
    Written,
    decode_to_worker,
    encode,
)

MAX_CLIENTS = 64
_NO_REQUEST = 0  # the id of none: clients count from 1


class Request(NamedTuple):
    client: int
    message: Input | CloseInput | Resize | Lend


class _Client:
    def __init__(self, sock: socket.socket, number: int) -> None:
        self.socket = sock
        self.number = number
        self.greeted = False


class InputPort:
    """`poll` is the worker's; fds of clients come and go in it."""

    def __init__(self, path: str, poll: select.epoll) -> None:
        self._poll = poll
        self._socket = listen_seqpacket(path)
        self._numbers = itertools.count()
        self._by_fd: dict[int, _Client] = {}
        self._by_number: dict[int, _Client] = {}
        self._lease = WriterLease()
        poll.register(self._socket, select.EPOLLIN)

    @property
    def listening_fd(self) -> int:
        return self._socket.fileno()

    def has(self, fd: int) -> bool:
        return fd in self._by_fd

    def accept(self) -> None:
        try:
            sock, _ = self._socket.accept()
        except OSError:
            return
        sock.setblocking(False)
        if refusal := self._refusal(sock):
            _try_send(sock, Goodbye(refusal))
            sock.close()
            return
        client = _Client(sock, next(self._numbers))
        self._by_fd[sock.fileno()] = self._by_number[client.number] = client
        self._poll.register(sock, select.EPOLLIN)

    def _refusal(self, sock: socket.socket) -> str | None:
        if not is_ours(sock):
            return "not permitted"
        if len(self._by_fd) < MAX_CLIENTS:
            return None
        silent = next((client for client in self._by_fd.values() if not client.greeted), None)
        if silent is None:
            return f"more than {MAX_CLIENTS} clients"
        self._expel(silent, "others are waiting, and this client never said hello")
        return None

    def receive(self, fd: int, greeting: Callable[[], Greeting]) -> Request | None:
        """One message of this client that the worker has to act on."""
        client = self._by_fd[fd]
        try:
            packet = client.socket.recv(MAX_PACKET_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            packet = b""
        if not packet:
            self._drop(client)
            return None
        return self._taken(client, packet, greeting)

    def _taken(self, client: _Client, packet: bytes, greeting: Callable[[], Greeting]) -> Request | None:
        try:
            return self._understood(client, packet, greeting)
        except ProtocolError as error:
            self._expel(client, str(error))
            return None

    def _understood(self, client: _Client, packet: bytes, greeting: Callable[[], Greeting]) -> Request | None:
        message = decode_to_worker(packet)
        if isinstance(message, Hello):
            self._greet(client, message, greeting)
            return None
        if not client.greeted:
            raise ProtocolError("the first message must be hello")
        if isinstance(message, Claim):
            self._claim(client.number, message)
            return None
        if isinstance(message, Input | CloseInput) and self._lease.bars(client.number):
            self.answer(client.number, Refused(message.id, Refusal.NOT_WRITER, 0, 0))
            return None
        return Request(client.number, message)

    def _claim(self, number: int, claim: Claim) -> None:
        before = self._lease.writer
        self._lease.claim(number, steal=claim.steal)
        held = self._lease.writer == number
        if before is not None and before != number and held:
            self.answer(before, Lease(held=False))
        self.answer(number, Lease(held=held))

    def _leave(self, number: int) -> None:
        """The next in line writes."""
        before = self._lease.writer
        self._lease.leave(number)
        heir = self._lease.writer
        if heir is not None and heir != before:
            self.answer(heir, Lease(held=True))

    def _greet(self, client: _Client, hello: Hello, greeting: Callable[[], Greeting]) -> None:
        if not OLDEST <= hello.version <= VERSION:
            raise ProtocolError(f"protocol version {hello.version}, this worker speaks {VERSION}")
        client.greeted = True
        self.answer(client.number, greeting())

    def answer(self, number: int, message: FromWorker) -> None:
        client = self._by_number.get(number)
        if client is not None and not _try_send(client.socket, message):
            self._drop(client)

    # --- making place for the next worker ---

    def is_there(self, number: int) -> bool:
        return number in self._by_number

    def last_requests(self, greeting: Callable[[], Greeting]) -> Iterator[Request]:
        """What clients said until their lines were cut, which they are here: nothing of it is left unread."""
        for client in list(self._by_fd.values()):
            with contextlib.suppress(OSError):
                client.socket.shutdown(socket.SHUT_RD)
                while packet := client.socket.recv(MAX_PACKET_BYTES):
                    if request := self._taken(client, packet, greeting):
                        yield request
            if self.is_there(client.number) and _has_hung_up(client.socket):
                self._drop(client)

    def settle(self, input_offset: int, ahead: Mapping[int, int]) -> None:
        """Each client learns up to where it need not send again: so it does not count as its own what others sent."""
        for number, client in list(self._by_number.items()):
            if client.greeted:
                self.answer(number, Written(_NO_REQUEST, input_offset - ahead.get(number, 0)))

    def lend(self, number: int, lent: Lent, fds: Sequence[int]) -> None:
        client = self._by_number.get(number)
        if client is not None and not _try_send(client.socket, lent, fds):
            self._drop(client)

    def _expel(self, client: _Client, reason: str) -> None:
        _try_send(client.socket, Goodbye(reason))
        self._drop(client)

    def _drop(self, client: _Client) -> None:
        del self._by_fd[client.socket.fileno()], self._by_number[client.number]
        self._poll.unregister(client.socket)
        client.socket.close()
        self._leave(client.number)

    def close(self) -> None:
        self._lease = WriterLease()  # nobody inherits from a port that closes
        for client in list(self._by_fd.values()):
            self._drop(client)
        self._socket.close()


def _has_hung_up(client: socket.socket) -> bool:
    poll = select.poll()
    poll.register(client, 0)
    return bool(poll.poll(0))


def _try_send(client: socket.socket, message: FromWorker, fds: Sequence[int] = ()) -> bool:
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        client.sendmsg([encode(message)], ancillary, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True
