"""Waiting for a descriptor without missing a signal.

Facts. Python runs signal handlers between two bytecodes. A signal that comes after the last of these and before the
system call is entered interrupts nothing: its handler waits for as long as the call does, and Ctrl-C goes unheard. That
is no rare moment: it is right after output was written, which is when people press Ctrl-C. The wakeup fd closes it:
C code writes a byte there as the signal comes, so whoever waits for that fd too is woken.
"""

import contextlib
import select
import signal
import socket
import threading
from collections.abc import Iterator

_wakeups: list[socket.socket] = []  # one a process at most, as Python has it


@contextlib.contextmanager
def heeding_signals() -> Iterator[None]:
    """For the main thread of a command; within itself, and in other threads, without effect."""
    if _wakeups or threading.current_thread() is not threading.main_thread():
        yield
        return
    reads, writes = socket.socketpair()
    with reads, writes:
        reads.setblocking(False)
        writes.setblocking(False)
        before = signal.set_wakeup_fd(writes.fileno(), warn_on_full_buffer=False)
        _wakeups.append(reads)
        try:
            yield
        finally:
            _wakeups.clear()
            signal.set_wakeup_fd(before)


def wait_for_input(fd: int, timeout_s: float | None = None) -> bool:
    """True: there may be something to read. Also after a signal whose handler had nothing against going on."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    for wakeups in _wakeups:
        poll.register(wakeups, select.POLLIN)
    ready = poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000)
    for wakeups in _wakeups:
        with contextlib.suppress(BlockingIOError):
            wakeups.recv(4096)
    return bool(ready)
