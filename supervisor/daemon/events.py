"""What happened, for whoever asks: the last thousand events, and subscribers who are told each as it comes."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from supervisor.control.messages import Happened, Missed
from supervisor.control.server import Client
from supervisor.daemon.status import iso

_KEPT = 1000
_SLOW_BYTES = 1 << 20


class Occurrence(NamedTuple):
    wall_ns: int
    session: str
    event: str
    state: str
    detail: dict[str, Any]

    def told_to(self, request: int) -> Happened:
        return Happened(request, iso(self.wall_ns) or "", self.session, self.event, self.state, self.detail)


class Subscriber:
    def __init__(self, client: Client, request: int) -> None:
        self.client = client
        self._request = request
        self._missed = 0

    def tell(self, occurrence: Occurrence) -> None:
        """One who does not read is not sent more; later it learns how many it missed."""
        if self.client.unsent_bytes > _SLOW_BYTES:
            self._missed += 1
            return
        if self._missed:
            self.client.tell(Missed(self._request, self._missed))
            self._missed = 0
        self.client.tell(occurrence.told_to(self._request))


class EventLog:
    def __init__(self, wall_ns: Callable[[], int], record: Callable[[Occurrence], None]) -> None:
        self._wall_ns = wall_ns
        self._record = record
        self._kept: deque[Occurrence] = deque(maxlen=_KEPT)
        self._subscribers: list[Subscriber] = []

    def add(self, session: str, event: str, state: str, detail: dict[str, Any]) -> None:
        occurrence = Occurrence(self._wall_ns(), session, event, state, detail)
        self._kept.append(occurrence)
        for subscriber in self._subscribers:
            subscriber.tell(occurrence)
        self._record(occurrence)

    def last(self, count: int) -> list[Occurrence]:
        return list(self._kept)[len(self._kept) - min(count, len(self._kept)) :]

    def of_session(self, session: str) -> list[Occurrence]:
        return [occurrence for occurrence in self._kept if occurrence.session == session]

    def subscribe(self, client: Client, request: int) -> None:
        self._subscribers.append(Subscriber(client, request))

    def forget(self, client: Client) -> None:
        self._subscribers = [one for one in self._subscribers if one.client is not client]
