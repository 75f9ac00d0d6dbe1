"""Bytes in, with books: numbered records are typed into sessions that write back what they read, as `ringctl send` does
it. Of each record is known whether it went in, or that nobody can know: its worker was killed amid its write."""

import hashlib
import select
import threading
import time
from collections.abc import Iterable

from ipc.worker_messages import Discarded, Refused
from supervisor.cli.viewer.places import Place, worker_path
from supervisor.cli.viewer.worker_link import Role, WorkerLink
from tests.chaos.books import RECORD_BYTES

_TURN_S = 0.05


def record(session: str, number: int) -> bytes:
    letters = hashlib.sha256(f"{session} {number}".encode()).hexdigest()
    return f"{number:016d}{letters[:47]}\n".encode()


class Line:
    """To one session. A record is typed when the one before it has been answered."""

    def __init__(self, runtime_dir: str, session: str, every_s: float) -> None:
        self.session = session
        self.gone_in: set[int] = set()
        self.in_doubt: set[int] = set()
        self.refusals: list[str] = []
        self._every_s = every_s
        self._next_s = 0.0
        self._number = 0
        self._is_under_way = False
        self.link = WorkerLink(worker_path(Place(runtime_dir, session)), Role.SENDER, self._told)

    def _told(self, words: str) -> None:
        if "was killed" in words:
            self.in_doubt.add(self._number)
            self._is_under_way = False
        else:
            self.refusals.append(f"{self.session}: record {self._number}: {words}")

    @property
    def is_idle(self) -> bool:
        return not self._is_under_way

    def turn(self, now_s: float, *, may_type: bool) -> None:
        is_new = self.link.fileno() < 0 and not self.link.redial.is_lost
        if is_new or self.link.redial.is_due(now_s):
            self.link.connect(now_s)
        while (answer := self.link.receive(now_s)) is not None:
            if isinstance(answer, Refused | Discarded):
                self.refusals.append(f"{self.session}: record {self._number}: {answer}")
                self._is_under_way = False
        if self._is_under_way and not self.link.outbox:
            self.gone_in.add(self._number)
            self._is_under_way = False
        if may_type and not self._is_under_way and self.link.greeting and now_s >= self._next_s:
            self._type(now_s)
        self.link.flush()

    def _type(self, now_s: float) -> None:
        self._number += 1
        self._next_s = now_s + self._every_s
        self._is_under_way = True
        self.link.type(record(self.session, self._number))

    @property
    def least_bytes(self) -> int:
        return RECORD_BYTES * len(self.gone_in)

    @property
    def most_bytes(self) -> int:
        return self.least_bytes + RECORD_BYTES * len(self.in_doubt)


class Typist:
    """A thread that types until it is asked to rest."""

    def __init__(self, runtime_dir: str, sessions: Iterable[str], every_s: float) -> None:
        self.lines = [Line(runtime_dir, session, every_s) for session in sessions]
        self._rests = False
        self._stops = False
        self._thread = threading.Thread(target=self._run, name="typist")
        self._thread.start()

    def _run(self) -> None:
        while not self._stops:
            now_s = time.monotonic()
            for line in self.lines:
                line.turn(now_s, may_type=not self._rests)
            fds = [line.link.fileno() for line in self.lines if line.link.fileno() >= 0]
            select.select(fds, [], [], _TURN_S)
        for line in self.lines:
            line.link.hang_up()

    def rest(self) -> None:
        """What is under way is still answered."""
        self._rests = True

    @property
    def is_idle(self) -> bool:
        return all(line.is_idle for line in self.lines)

    def stop(self) -> None:
        self._stops = True
        self._thread.join()
