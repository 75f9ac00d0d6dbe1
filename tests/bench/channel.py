"""What is measured between two processes: messages from one to the other.

`receive` hands out at least one message: each as its own buffer, or several of equal size as one. A buffer is valid
until the next call, so a transport may show its own memory. Both ends live until the last message has arrived."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

Buffer = bytes | bytearray | memoryview


class Sender(Protocol):
    def send(self, message: bytes) -> None:
        """Blocks while there is no room."""


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

    def missing(self) -> str | None: ...

    def version(self) -> str: ...

    def channel(self, directory: Path, message_bytes: int) -> Channel:
        """`directory` is private to this channel and is removed afterwards."""
