"""The viewer's line to the router: a session's output from some place on. It never blocks."""

import socket
from typing import NamedTuple

from ipc.router_messages import (
    Goodbye,
    Hello,
    Origin,
    Packet,
    Subscribe,
    decode_from_router,
    decode_stream,
    encode,
    is_stream,
)
from ipc.unix_socket import MAX_PACKET_BYTES, connect_seqpacket
from supervisor.cli.viewer.redial import Redial

_CONNECT_S = 0.2
_GONE_FOR_GOOD = ("there is no session", "was removed", "not permitted")


class Piece(NamedTuple):
    packet: Packet
    kind: int
    epoch: int
    offset: int
    data: bytes


class Dismissed(Exception):  # noqa: N818 - says what happened
    """The router will not serve this session, now or later."""


class RouterLink:
    def __init__(self, path: str, session: str) -> None:
        self._path = path
        self._session = session
        self._socket: socket.socket | None = None
        self._buffer = bytearray(MAX_PACKET_BYTES)
        self.redial = Redial()

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def subscribe(self, origin: Origin, now_s: float) -> None:
        """Instead of what was subscribed to before."""
        self.hang_up()
        self.redial.lost(now_s)
        try:
            sock = connect_seqpacket(self._path, timeout_s=_CONNECT_S)
            sock.setblocking(False)
            sock.send(encode(Hello()))
            sock.send(encode(Subscribe(self._session, origin)))
        except OSError:
            self.redial.tried(now_s)
            return
        self._socket = sock
        self.redial.dialled(now_s)

    def hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def receive(self, now_s: float) -> Piece | None:
        """None: nothing more has come, or the line is lost. Raises Dismissed."""
        while self._socket is not None:
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return None
            except OSError:
                size = 0
            if not size:
                self.hang_up()
                self.redial.lost(now_s)
                return None
            packet = bytes(memoryview(self._buffer)[:size])
            self.redial.found()
            if is_stream(packet):
                header, data = decode_stream(packet)
                return Piece(Packet(header.packet), header.kind, header.epoch, header.offset, data)
            message = decode_from_router(packet)
            if isinstance(message, Goodbye) and any(words in message.reason for words in _GONE_FOR_GOOD):
                raise Dismissed(message.reason)
        return None
