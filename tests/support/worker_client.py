"""A client of a worker's socket that keeps what it was told."""

import itertools
from collections.abc import Iterable

from ipc.unix_socket import MAX_PACKET_BYTES, connect_seqpacket
from ipc.worker_messages import (
    MAX_INPUT_BYTES,
    CloseInput,
    Discarded,
    FromWorker,
    Goodbye,
    Greeting,
    Hello,
    Input,
    Refused,
    Resize,
    ToWorker,
    Written,
    decode_from_worker,
    encode,
)


class WorkerClient:
    def __init__(self, path: str) -> None:
        self._socket = connect_seqpacket(path)
        self._ids = itertools.count(1)
        self.greeting: Greeting | None = None
        self.goodbye: str | None = None
        self.answers: dict[int, Written | Refused | Discarded] = {}
        self.closed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: ToWorker) -> None:
        self.send_packet(encode(message))

    def send_packet(self, packet: bytes) -> None:
        self._socket.send(packet)

    def hello(self, version: int | None = None) -> None:
        self.send(Hello() if version is None else Hello(version))

    def type(self, data: bytes) -> int:
        """The request's id."""
        request = next(self._ids)
        self.send(Input(request, data))
        return request

    def paste(self, data: bytes) -> list[int]:
        """In pieces that the protocol takes."""
        starts = range(0, len(data), MAX_INPUT_BYTES)
        return [self.type(data[start : start + MAX_INPUT_BYTES]) for start in starts]

    def end_input(self) -> int:
        request = next(self._ids)
        self.send(CloseInput(request))
        return request

    def resize(self, cols: int, rows: int) -> None:
        self.send(Resize(cols, rows))

    def has_answers(self, requests: Iterable[int]) -> bool:
        return all(request in self.answers for request in requests)

    def receive(self) -> None:
        """What is there, which is at least one packet or the end."""
        try:
            packet = self._socket.recv(MAX_PACKET_BYTES)
        except ConnectionResetError:  # closed before it read all of ours; what it said before that comes next
            return
        if not packet:
            self.close()
            return
        self._take(decode_from_worker(packet))

    def _take(self, message: FromWorker) -> None:
        match message:
            case Greeting():
                self.greeting = message
            case Goodbye(reason):
                self.goodbye = reason
            case Written() | Refused() | Discarded():
                assert message.id not in self.answers, f"two answers to {message.id}"
                self.answers[message.id] = message

    def close(self) -> None:
        self.closed = True
        self._socket.close()
