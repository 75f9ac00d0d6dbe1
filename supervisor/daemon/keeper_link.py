"""The supervisor's end of the channel to the keeper. It never blocks: what a stopped keeper does not read is kept."""

import socket
from collections import deque
from collections.abc import Callable

from ipc.errors import UNREADABLE
from supervisor.keeper import packets
from supervisor.keeper.loop import READABLE, WRITABLE, Loop
from supervisor.keeper.messages import MAX_PACKET_BYTES, VERSION, Answer, Event, Hello, Request, decode_event, encode

_MESSAGES_A_TURN = 256


class KeeperLostError(Exception):
    """The keeper is gone, or hung up: there is nothing left to decide."""


class KeeperLink:
    def __init__(self, channel: socket.socket, loop: Loop, on_message: Callable[[Event | Answer], None]) -> None:
        self._channel = channel
        self._loop = loop
        self._on_message = on_message
        self._unsent: deque[bytes] = deque()
        self._rid = 0
        self.lost = ""  # why, once it is
        channel.setblocking(False)
        loop.watch(channel.fileno(), self._attend)

    def hello(self, keeper_speaks: int) -> None:
        """A keeper of the release before ours speaks as it did, and so do we with it."""
        self.send(Hello(min(VERSION, keeper_speaks)))

    def next_rid(self) -> int:
        self._rid += 1
        return self._rid

    def send(self, request: Request) -> None:
        self._unsent.append(encode(request))
        self._flush()

    def _flush(self) -> None:
        waited = len(self._unsent) > 1
        try:
            while self._unsent:
                packets.send(self._channel, self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            waited = True
        except OSError as error:
            self.lost = f"the keeper does not listen: {error}"
            return
        if waited:
            self._loop.interest(self._channel.fileno(), READABLE | WRITABLE if self._unsent else READABLE)

    def _attend(self) -> None:
        if self._unsent:
            self._flush()
        for _ in range(_MESSAGES_A_TURN):
            if self.lost or not self._receive():
                return

    def _receive(self) -> bool:
        try:
            packet = packets.receive(self._channel, MAX_PACKET_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self.lost = f"the keeper is gone: {error}"
            return False
        if packet is None:
            self.lost = "the keeper is gone"
            return False
        packets.close_all(packet.fds)
        try:
            message = decode_event(packet.payload)
        except UNREADABLE as error:
            self.lost = f"the keeper speaks another language: {error}"
            return False
        self._on_message(message)
        return True
