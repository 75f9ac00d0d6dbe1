"""The router's live half: attached terminals and other subscribers, and the orders of the supervisor.

It belongs to the main thread, has its own bell, and sleeps in one poll. A session is followed only while somebody
subscribes to it; one mapping of its ring serves them all, and while nothing comes they cost nothing: the board says
which ring has moved. Nothing here waits: logs are read by replays and written by lanes, and what those threads have
to say they `post`.
"""

import queue
import select
from collections.abc import Callable, Iterator

from ipc.board import LIVE_BELL, serving_word, sleeping_word
from ipc.board_watch import BoardWatch
from ipc.errors import IpcError, ProtocolError
from ipc.feed import Client, Feed
from ipc.log_replay import LogReplay
from ipc.ordering import barrier
from ipc.replay import start_of
from ipc.ring_attach import attach_follower
from ipc.ring_dir import open_reader_bell
from ipc.ring_reader import Follower
from ipc.router_messages import (
    OLDEST,
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
)
from ipc.sink_spec import SinkSpec
from ipc.subscription import ReadLog, Subscription
from ipc.unix_socket import MAX_PACKET_BYTES, is_ours, listen_seqpacket

Order = Serve | Drop | LogOrder | AskStatus
MAX_CLIENTS = 4096
_DEAF_S = 1.0
_LAST_TURNS = 256  # of a session that is removed: more than any ring holds


class Live:
    """`order` carries out what the supervisor asks for, and answers when it is done; `spec_of` knows a session's slot
    and log, and refuses one that nobody may touch."""

    def __init__(
        self,
        ring_dir: str,
        path: str,
        board: memoryview,
        *,
        order: Callable[[Order, Callable[[FromRouter], None]], None],
        spec_of: Callable[[str], SinkSpec],
    ) -> None:
        self._ring_dir = ring_dir
        self._board = board
        self._order = order
        self._spec_of = spec_of
        self._bell = open_reader_bell(ring_dir, LIVE_BELL)
        self._listener = listen_seqpacket(path, backlog=1024)
        self._poll = select.epoll()
        self._poll.register(self._bell, select.EPOLLIN)
        self._poll.register(self._listener, select.EPOLLIN)
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._hears = True
        self._clients: dict[int, Client] = {}
        self._watch = BoardWatch(board, LIVE_BELL)
        self._feeds: dict[int, Feed] = {}  # by slot
        self._beginning: set[Client] = set()  # who wants to subscribe

    @property
    def subscribers(self) -> int:
        return sum(client.wish is not None for client in self._clients.values())

    @property
    def wakeup_fd(self) -> int:
        """A byte written to it wakes the main thread."""
        return self._bell.fd

    def wake(self) -> None:
        """From any thread."""
        self._bell.ring()

    def post(self, act: Callable[[], None]) -> None:
        """From any thread: have this done by the main thread."""
        self._posted.put(act)
        self.wake()

    # --- the stream ---

    def turn(self) -> None:
        self._send()
        events = self._poll.poll(self._timeout_s())
        self._board[sleeping_word(LIVE_BELL)] = 0
        if not events:
            self._hear(knocking=True)
        for fd, event in events:
            self._dispatch(fd, event)
        while not self._posted.empty():
            self._posted.get()()

    def _send(self) -> None:
        slots = self._watch.dirty()
        for client in [*self._beginning, *self._ready(slots)]:
            self._send_to(client)
        for slot in slots:
            if slot in self._feeds and self._feeds[slot].is_settled():
                self._watch.done(slot)

    def _ready(self, slots: list[int]) -> Iterator[Client]:
        """Of those whose ring has moved, or was not read to its end."""
        return (client for slot in slots for client in self._feeds[slot].clients if client.has_news())

    def _timeout_s(self) -> float | None:
        """Whoever commits after SLEEPING was stored rings the bell."""
        if not self._has_news():
            self._board[sleeping_word(LIVE_BELL)] = 1
            barrier()
            if not self._has_news():
                return None if self._hears else _DEAF_S
        return 0

    def _has_news(self) -> bool:
        return bool(self._beginning) or any(True for _ in self._ready(self._watch.dirty()))

    def _send_to(self, client: Client) -> None:
        """A turn for a subscriber that can take something. Whatever trips over his ring, only he is sent away."""
        try:
            if client.subscription is None:
                self._begin(client)
            else:
                self._board[serving_word(LIVE_BELL)] = client.slot + 1
                self._block(client, blocked=not client.subscription.send())
        except (BrokenPipeError, ConnectionResetError):
            self._drop(client)
        except FileNotFoundError:
            self._expel(client, f"there is no session {client.session}")
        except Exception as error:  # noqa: BLE001 - see above
            self._expel(client, f"session {client.session}: {error or type(error).__name__}")
        finally:
            self._board[serving_word(LIVE_BELL)] = 0

    def _begin(self, client: Client) -> None:
        wish = client.wish
        if wish is None:
            return
        spec = self._spec_of(wish.session)
        self._board[serving_word(LIVE_BELL)] = spec.slot + 1
        follower = self._follow(client, spec)
        start = start_of(wish.origin, follower)
        client.subscription = Subscription(client.socket, follower, start, wish.max_lag_bytes, self._reader_of(spec))
        self._beginning.discard(client)
        self._watch.watch(spec.slot)
        if not client.try_send(Subscribed(wish.session, *follower.standing())):
            self._drop(client)

    def _follow(self, client: Client, spec: SinkSpec) -> Follower:
        if spec.slot not in self._feeds:
            self._feeds[spec.slot] = Feed(attach_follower(self._ring_dir, spec.session))
        client.slot = spec.slot
        self._feeds[spec.slot].clients.add(client)
        return self._feeds[spec.slot].follower

    def _leave(self, client: Client) -> None:
        """One mapping serves all; with the last of them it goes."""
        feed = self._feeds.get(client.slot)
        if feed is not None:
            feed.clients.discard(client)
            if not feed.clients:
                del self._feeds[client.slot]
                self._watch.ignore(client.slot)
                feed.follower.detach()

    def _reader_of(self, spec: SinkSpec) -> ReadLog | None:
        log = spec.log
        return None if log is None else lambda wish: LogReplay(log, wish, self.wake)

    def _block(self, client: Client, *, blocked: bool) -> None:
        if blocked != client.blocked:
            client.blocked = blocked
            self._poll.modify(client.socket, select.EPOLLIN | (select.EPOLLOUT if blocked else 0))

    def _look_at_rings(self) -> None:
        """Rung, and no mirror moved: a worker has died or taken over, or a replay has something. They know."""
        if not self._watch.dirty():
            for slot, feed in self._feeds.items():
                if not feed.is_settled():
                    self._watch.watch(slot)

    # --- clients ---

    def _dispatch(self, fd: int, events: int) -> None:
        if fd == self._bell.fileno():
            self._bell.hush()
            self._look_at_rings()
        elif fd == self._listener.fileno():
            self._accept()
        elif client := self._clients.get(fd):
            if events & select.EPOLLOUT:
                self._block(client, blocked=False)
            if events & ~select.EPOLLOUT:
                self._receive(client)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            self._hear(knocking=False)
            return
        sock.setblocking(False)
        client = Client(sock)
        if not is_ours(sock) or len(self._clients) >= MAX_CLIENTS:
            client.try_send(Goodbye("not permitted, or too many clients"))
            sock.close()
            return
        self._clients[sock.fileno()] = client
        self._poll.register(sock, select.EPOLLIN)

    def _hear(self, *, knocking: bool) -> None:
        """Without a descriptor left, who knocks would be reported for ever: he waits a second for there to be one."""
        if knocking != self._hears:
            self._hears = knocking
            self._poll.modify(self._listener, select.EPOLLIN if knocking else 0)

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
            if not OLDEST <= message.version <= VERSION:
                raise ProtocolError(f"protocol version {message.version}, this router speaks {VERSION}")
            client.greeted = True
        elif not client.greeted or client.wish is not None:
            raise ProtocolError("hello comes first, and nothing after subscribe")
        elif isinstance(message, Subscribe):
            client.wish = message
            self._beginning.add(client)
        else:
            self._carry_out(client, message)

    def _carry_out(self, client: Client, order: Order) -> None:
        def answer(message: FromRouter) -> None:
            if client.socket.fileno() in self._clients and not client.try_send(message):
                self._drop(client)

        try:
            self._order(order, answer)
        except (IpcError, OSError) as error:
            answer(Failed(order.id, str(error)))

    def forget(self, session: str) -> None:
        """Its ring goes away: its subscribers get what there is, and the end."""
        for client in [client for client in self._clients.values() if client.session == session]:
            for _ in range(_LAST_TURNS):
                if client.has_news() and client.socket.fileno() in self._clients:
                    self._send_to(client)
            self._expel(client, f"session {session} was removed")

    def _expel(self, client: Client, reason: str) -> None:
        client.try_send(Goodbye(reason))
        self._drop(client)

    def _drop(self, client: Client) -> None:
        if self._clients.pop(client.socket.fileno(), None) is None:
            return
        self._beginning.discard(client)
        if client.subscription is not None:
            client.subscription.close()
        self._poll.unregister(client.socket)
        client.socket.close()
        self._leave(client)

    def close(self) -> None:
        """The last thing it does."""
        for client in list(self._clients.values()):
            self._expel(client, "the router is going down")
        self._listener.close()
