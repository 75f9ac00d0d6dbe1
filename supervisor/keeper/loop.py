"""One epoll set and the nearest deadline: the keeper sleeps until one of them says something.

Facts. epoll goes on reporting an open file whose fd was closed as long as somebody else holds a copy, so each fd leaves
the set before it is closed. A batch may still hold an event of an fd that a handler of the same batch closed, and whose
number is in use again: handlers must bear being called with nothing to do.
"""

import heapq
import itertools
import select
import time
from collections.abc import Callable

from supervisor.keeper.log import log_fault

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT

Handler = Callable[[], None]


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._deadlines: list[tuple[float, int, Handler]] = []
        self._tie_breaker = itertools.count()

    def watch(self, fd: int, handler: Handler) -> None:
        self._epoll.register(fd, READABLE)
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def interest(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def call_in(self, delay_s: float, handler: Handler) -> None:
        """Cannot be cancelled: the handler looks whether it is still wanted."""
        heapq.heappush(self._deadlines, (time.monotonic() + delay_s, next(self._tie_breaker), handler))

    def run_once(self) -> None:
        for fd, _ in self._epoll.poll(self._until_next_s()):
            if handler := self._handlers.get(fd):
                _call(handler)
        while self._deadlines and self._deadlines[0][0] <= time.monotonic():
            _call(heapq.heappop(self._deadlines)[2])

    def _until_next_s(self) -> float:
        if not self._deadlines:
            return -1
        return max(0.0, self._deadlines[0][0] - time.monotonic())

    def close(self) -> None:
        self._epoll.close()


def _call(handler: Handler) -> None:
    """A fault in one handler must not take the fleet's parent away: it is logged, and the others go on."""
    try:
        handler()
    except Exception as fault:  # noqa: BLE001 - see above
        log_fault(fault)
