"""The signals of a viewer, as bytes to read between other things."""

import signal
import socket
from collections.abc import Iterator
from typing import Any

_WATCHED = (
    signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT,
)  # fmt: skip


class SignalSocket:
    """From now until `close`, which leaves everything as it was."""

    def __init__(self) -> None:
        self._reads, self._writes = socket.socketpair()
        self._reads.setblocking(False)
        self._writes.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._writes.fileno())
        self._before: dict[int, Any] = {number: signal.signal(number, lambda *_: None) for number in _WATCHED}

    def fileno(self) -> int:
        return self._reads.fileno()

    def take(self) -> Iterator[signal.Signals]:
        return map(signal.Signals, self._reads.recv(64))

    def close(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._reads.close()
        self._writes.close()
