"""Signals as bytes in a pipe, so that one epoll set is all the keeper waits for.

Python's own handlers only set a flag; the byte is written by the interpreter's C handler. A pipe that is full has lost
signals, but never the reason to look: each wake-up sweeps the children.
"""

import os
import signal

FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1})
HANDLED = (signal.SIGCHLD, *FORWARDED)
_PIPE_BYTES = 65536


class Wakeup:
    def __init__(self) -> None:
        self.fd, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def take(self) -> set[int]:
        try:
            return set(os.read(self.fd, _PIPE_BYTES))
        except BlockingIOError:
            return set()
