"""The peers of the ring: what Python offers for messages from one process to another, each in its fastest plain
form."""

import multiprocessing
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from platform import python_version
from typing import Any

from tests.bench.channel import Buffer, Channel, Gathering, Receiver, Sender

FIFO_BYTES = 1 << 20  # as much room as the ring's byte area in these runs


@dataclass(frozen=True, slots=True)
class End:
    """One side of a channel, put together from functions."""

    send: Callable[[bytes], Any] = NotImplemented
    receive: Callable[[], Iterable[Buffer]] = NotImplemented
    flush: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Ends:
    sender: Callable[[], Sender]
    receiver: Callable[[], Receiver]
    close: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Rival:
    name: str
    channel: Callable[[Path, int], Channel]
    package: str | None = None  # on PyPI
    module: str | None = None
    gathers: bool = False

    def missing(self) -> str | None:
        return f"pip install {self.package}" if self.module and not find_spec(self.module) else None

    def version(self) -> str:
        try:
            return f"{self.package} {version(self.package)}" if self.package else f"Python {python_version()}"
        except PackageNotFoundError:
            return "?"


def _os_pipe(_directory: Path, message_bytes: int) -> Ends:
    """No messages, only bytes: what the kernel does at most for two processes and one system call for each
    message."""
    reading, writing = os.pipe()

    def close() -> None:
        os.close(reading)
        os.close(writing)

    def receive() -> Iterable[Buffer]:
        return (os.read(reading, 65536),)

    return Ends(lambda: End(send=lambda message: _write_all(writing, message)), lambda: End(receive=receive), close)


def _write_all(fd: int, message: bytes) -> None:
    sent = os.write(fd, message)
    while sent < len(message):
        sent += os.write(fd, message[sent:])


def _queue(_directory: Path, _message_bytes: int) -> Ends:
    queue: Any = multiprocessing.get_context("fork").Queue()

    return Ends(lambda: End(send=queue.put), lambda: End(receive=lambda: (queue.get(),)), queue.close)


def _pipe(_directory: Path, _message_bytes: int) -> Ends:
    reading: Connection
    writing: Connection
    reading, writing = multiprocessing.get_context("fork").Pipe(duplex=False)

    def close() -> None:
        reading.close()
        writing.close()

    return Ends(lambda: End(send=writing.send_bytes), lambda: End(receive=lambda: (reading.recv_bytes(),)), close)


def _faster_fifo(take: str, *, gathers: bool = False) -> Callable[[Path, int], Ends]:
    def channel(_directory: Path, message_bytes: int) -> Ends:
        from faster_fifo import Queue  # type: ignore[import-not-found]  # noqa: PLC0415 - optional peer

        queue = Queue(max(FIFO_BYTES, 16 * message_bytes), loads=lambda view: view, dumps=lambda message: message)
        get = getattr(queue, take)
        one = take == "get"

        def receive() -> Iterable[Buffer]:
            return (get(timeout=60),) if one else get(timeout=60)

        def sender() -> Sender:
            if gathers:
                return Gathering(lambda messages: queue.put_many(messages, timeout=60), message_bytes)
            return End(send=lambda message: queue.put(message, timeout=60))

        return Ends(sender, lambda: End(receive=receive), queue.close)

    return channel


def _zmq(directory: Path, _message_bytes: int) -> Ends:
    pushing, pulling = _zmq_sockets(directory)

    def receiver() -> Receiver:
        recv = pulling().recv
        return End(receive=lambda: (recv(),))

    return Ends(lambda: End(send=pushing().send), receiver, lambda: None)


def _zmq_multipart(directory: Path, message_bytes: int) -> Ends:
    """The nearest that pyzmq has to a batch: the messages are the parts of one."""
    pushing, pulling = _zmq_sockets(directory)
    return Ends(
        lambda: Gathering(pushing().send_multipart, message_bytes),
        lambda: End(receive=pulling().recv_multipart),
        lambda: None,
    )


def _zmq_sockets(directory: Path) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A context for each process; PUSH waits at the usual high-water mark of 1000 messages."""
    endpoint = f"ipc://{directory}/socket"

    def pushing() -> Any:
        import zmq  # noqa: PLC0415 - optional peer

        socket = zmq.Context().socket(zmq.PUSH)
        socket.connect(endpoint)
        return socket

    def pulling() -> Any:
        import zmq  # noqa: PLC0415 - optional peer

        socket = zmq.Context().socket(zmq.PULL)
        socket.bind(endpoint)
        return socket

    return pushing, pulling


OS_PIPE = Rival("os.pipe, unframed", _os_pipe)
RIVALS = (
    Rival("multiprocessing.Queue", _queue),
    Rival("multiprocessing.Pipe", _pipe),
    Rival("faster-fifo get", _faster_fifo("get"), "faster-fifo", "faster_fifo"),
    Rival("faster-fifo get_many", _faster_fifo("get_many"), "faster-fifo", "faster_fifo"),
    Rival("faster-fifo put_many", _faster_fifo("get_many", gathers=True), "faster-fifo", "faster_fifo", gathers=True),
    Rival("pyzmq ipc PUSH/PULL", _zmq, "pyzmq", "zmq"),
    Rival("pyzmq ipc multipart", _zmq_multipart, "pyzmq", "zmq", gathers=True),
)
