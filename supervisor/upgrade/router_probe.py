"""Does the new router serve? It is asked itself, until it answers: by then it has read all sink files."""

import socket
from collections.abc import Callable

from ipc.errors import ProtocolError
from ipc.router_messages import AskStatus, Goodbye, Hello, RouterStatus, decode_from_router, encode
from ipc.unix_socket import MAX_PACKET_BYTES, connect_seqpacket
from supervisor.keeper.loop import Loop

_AGAIN_S = 0.02
_CONNECT_MAX_S = 0.5


class RouterProbe:
    """`on_answer` is called once; never, if nobody answers."""

    def __init__(self, path: str, loop: Loop, on_answer: Callable[[], None]) -> None:
        self._path = path
        self._loop = loop
        self._on_answer = on_answer
        self._socket: socket.socket | None = None
        self._over = False
        self._ask()

    def give_up(self) -> None:
        self._over = True
        self._hang_up()

    def _ask(self) -> None:
        if self._over:
            return
        try:
            self._socket = connect_seqpacket(self._path, timeout_s=_CONNECT_MAX_S)
            self._socket.setblocking(False)
            for message in (Hello(), AskStatus(1)):
                self._socket.send(encode(message), socket.MSG_NOSIGNAL)
        except OSError:
            self._again()
            return
        self._loop.watch(self._socket.fileno(), self._listen)

    def _listen(self) -> None:
        if self._socket is None:
            return
        try:
            packet = self._socket.recv(MAX_PACKET_BYTES)
            answer = decode_from_router(packet) if packet else Goodbye("")
        except BlockingIOError:
            return
        except (OSError, ProtocolError):
            answer = Goodbye("")
        if isinstance(answer, RouterStatus):
            self.give_up()
            self._on_answer()
        elif isinstance(answer, Goodbye):
            self._again()

    def _again(self) -> None:
        self._hang_up()
        self._loop.call_in(_AGAIN_S, self._ask)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None
