"""The router's live half: attached terminals and other subscribers, and the orders of the supervisor.

It belongs to the main thread, has its own bell, and sleeps in one poll. A session is followed only while somebody
subscribes to it; one mapping of its ring serves them all.
"""

import select
import socket
from collections.abc import Callable, Iterator

from ipc.errors import IpcError, ProtocolError, RingMoving
from ipc.log_reader import LogMoved
from ipc.replay import start_of
from ipc.ring_attach import attach_follower
from ipc.ring_reader import Follower
from ipc.router_messages import (
    VERSION,
    AskStatus,
    Drop,
    Failed,
    FromRouter,
    Goodbye,
    Hello,
    LogOrder,
    Serve,
    Subscribe,
    Subscribed,
    decode_to_router,
    encode,
)
from ipc.sink_spec import LogSpec
from ipc.subscription import Subscription
from ipc.unix_socket import MAX_PACKET_BYTES, is_ours, listen_seqpacket

Order = Serve | Drop | LogOrder | AskStatus
MAX_CLIENTS = 4096


class Client:
    __slots__ = ("blocked", "greeted", "session", "socket", "subscription")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.greeted = False
        self.session = ""
        self.subscription: Subscription | None = None
        self.blocked = False


class Live:
    """`order` carries out what the supervisor asks for; `log_of` knows where a session is logged."""

    def __init__(
        self,
        ring_dir: str,
        path: str,
        *,
        order: Callable[[Order], FromRouter],
        log_of: Callable[[str], LogSpec | None],
    ) -> None:
        self._ring_dir = ring_dir
        self._order = order
        self._log_of = log_of
        self._listener = listen_seqpacket(path, backlog=1024)
        self.poll = select.epoll()
        self.poll.register(self._listener, select.EPOLLIN)
        self._clients: dict[int, Client] = {}
        self._moving: set[Client] = set()
        self._followers: dict[str, Follower] = {}

    @property
    def subscribers(self) -> int:
        return sum(client.subscription is not None for client in self._clients.values())

    # --- the stream ---

    def has_news(self) -> bool:
        return any(True for _ in self._ready())

    def _ready(self) -> Iterator[tuple[Client, Subscription]]:
        for client in self._clients.values():
            subscription = client.subscription
            if (
                subscription is not None
                and not client.blocked
                and client not in self._moving
                and subscription.has_news()
            ):
                yield client, subscription

    def send(self) -> None:
        """A turn for each subscriber that can take something."""
        for client, subscription in list(self._ready()):
            self._send_to(client, subscription)

    def look_again(self) -> None:
        """The bell rang: a ring that was being resized may be in its place now."""
        self._moving.clear()

    def _send_to(self, client: Client, subscription: Subscription) -> None:
        try:
            self._block(client, blocked=not subscription.send())
        except RingMoving:
            self._moving.add(client)
        except (IpcError, ValueError, IndexError) as error:
            self._expel(client, f"session {client.session}: {error}")
        except OSError:
            self._drop(client)

    def _block(self, client: Client, *, blocked: bool) -> None:
        if blocked != client.blocked:
            client.blocked = blocked
            self.poll.modify(client.socket, select.EPOLLIN | (select.EPOLLOUT if blocked else 0))

    # --- clients ---

    def dispatch(self, fd: int, events: int) -> bool:
        """False: this fd is not ours."""
        if fd == self._listener.fileno():
            self._accept()
            return True
        client = self._clients.get(fd)
        if client is None:
            return False
        if events & select.EPOLLOUT:
            self._block(client, blocked=False)
        if events & ~select.EPOLLOUT:
            self._receive(client)
        return True

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        client = Client(sock)
        if not is_ours(sock) or len(self._clients) >= MAX_CLIENTS:
            _try_send(client, Goodbye("not permitted, or too many clients"))
            sock.close()
            return
        self._clients[sock.fileno()] = client
        self.poll.register(sock, select.EPOLLIN)

    def _receive(self, client: Client) -> None:
        try:
            packet = client.socket.recv(MAX_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._drop(client)
            return
        try:
            self._obey(client, packet)
        except ProtocolError as error:
            self._expel(client, str(error))

    def _obey(self, client: Client, packet: bytes) -> None:
        message = decode_to_router(packet)
        if isinstance(message, Hello):
            if message.version != VERSION:
                raise ProtocolError(f"protocol version {message.version}, this router speaks {VERSION}")
            client.greeted = True
        elif not client.greeted or client.subscription is not None:
            raise ProtocolError("hello comes first, and nothing after subscribe")
        elif isinstance(message, Subscribe):
            self._subscribe(client, message)
        elif not _try_send(client, self._carry_out(message)):
            self._drop(client)

    def _carry_out(self, order: Order) -> FromRouter:
        try:
            return self._order(order)
        except (IpcError, OSError) as error:
            return Failed(order.id, str(error))

    def _subscribe(self, client: Client, wish: Subscribe) -> None:
        try:
            follower = self._follow(wish.session)
            start = start_of(wish.origin, follower, self._log_of(wish.session))
        except (IpcError, OSError, LogMoved) as error:
            raise ProtocolError(f"session {wish.session}: {error}") from error
        client.session = wish.session
        client.subscription = Subscription(client.socket, follower, start, wish.max_lag_bytes)
        epoch, offset = follower.standing()
        if not _try_send(client, Subscribed(wish.session, epoch, offset)):
            self._drop(client)

    def _follow(self, session: str) -> Follower:
        if session not in self._followers:
            if "/" in session:
                raise ProtocolError(f"{session!r} is no session name")
            self._followers[session] = attach_follower(self._ring_dir, session)
        return self._followers[session]

    def forget(self, session: str) -> None:
        """Its ring goes away: its subscribers get what there is, and the end."""
        for client in [client for client in self._clients.values() if client.session == session]:
            if client.subscription is not None:
                self._send_to(client, client.subscription)
            self._expel(client, f"session {session} was removed")

    def _expel(self, client: Client, reason: str) -> None:
        _try_send(client, Goodbye(reason))
        self._drop(client)

    def _drop(self, client: Client) -> None:
        if self._clients.pop(client.socket.fileno(), None) is None:
            return
        self._moving.discard(client)
        self.poll.unregister(client.socket)
        client.socket.close()
        if client.session and not any(other.session == client.session for other in self._clients.values()):
            self._followers.pop(client.session).detach()

    def close(self) -> None:
        for client in list(self._clients.values()):
            self._expel(client, "the router is going down")
        self._listener.close()


def _try_send(client: Client, message: FromRouter) -> bool:
    try:
        client.socket.send(encode(message), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True
