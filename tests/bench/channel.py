"""What is measured between two processes: messages from one to the other.

`receive` hands out at least one message: each as its own buffer, or several of equal size as one. A buffer is valid
until the next call, so a transport may show its own memory. Both ends live until the last message has arrived.

Some transports can take many messages in one call. Such a one is a contestant of its own: its sender gathers what it is
given, up to `BATCH` messages, and the last ones leave with `flush`."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

Buffer = bytes | bytearray | memoryview
BATCH = 64
_BATCH_BYTES = 1 << 16  # or one message, if that is larger


class Sender(Protocol):
    def send(self, message: bytes) -> None:
        """Blocks while there is no room."""

    def flush(self) -> None:
        """What was gathered leaves now."""


class Receiver(Protocol):
    def receive(self) -> Iterable[Buffer]:
        """Blocks until there is at least one message."""


class Channel(Protocol):
    """Made before the fork; each side asks for its end in its own process."""

    def sender(self) -> Sender: ...

    def receiver(self) -> Receiver: ...

    def close(self) -> None:
        """In the process that made it, after both sides have ended."""


class Transport(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def gathers(self) -> bool:
        """Its messages wait for others: no contestant where one message is answered by another."""

    def missing(self) -> str | None: ...

    def version(self) -> str: ...

    def channel(self, directory: Path, message_bytes: int) -> Channel:
        """`directory` is private to this channel and is removed afterwards."""


class Gathering:
    """A sender that passes messages on in batches."""

    __slots__ = ("_most", "_send_all", "_waiting")

    def __init__(self, send_all: Callable[[Sequence[bytes]], object], message_bytes: int) -> None:
        self._send_all = send_all
        self._most = max(1, min(BATCH, _BATCH_BYTES // message_bytes))
        self._waiting: list[bytes] = []

    def send(self, message: bytes) -> None:
        waiting = self._waiting
        waiting.append(message)
        if len(waiting) >= self._most:
            self._send_all(waiting)
            self._waiting = []

    def flush(self) -> None:
        if self._waiting:
            self._send_all(self._waiting)
            self._waiting = []
