"""Who is connected to the router, and who of them follows which session."""

import socket

from ipc.ring_reader import Follower
from ipc.router_messages import FromRouter, Subscribe, encode
from ipc.subscription import Subscription


class Client:
    __slots__ = ("blocked", "greeted", "slot", "socket", "subscription", "wish")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.greeted = False
        self.wish: Subscribe | None = None
        self.subscription: Subscription | None = None
        self.blocked = False
        self.slot = -1  # of the session that it follows

    @property
    def session(self) -> str:
        return self.wish.session if self.wish is not None else ""

    def try_send(self, message: FromRouter) -> bool:
        """False: the client is gone, or reads nothing."""
        try:
            self.socket.send(encode(message), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def has_news(self) -> bool:
        return not self.blocked and self.subscription is not None and self.subscription.has_news()

    def is_settled(self) -> bool:
        """Only a change of its ring gives it something to do."""
        return not self.blocked and self.subscription is not None and self.subscription.is_settled()


class Feed:
    """A session that is followed, and by whom."""

    __slots__ = ("clients", "follower")

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.clients: set[Client] = set()

    def is_settled(self) -> bool:
        return all(client.is_settled() for client in self.clients)
