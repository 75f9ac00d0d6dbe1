"""Somebody who types numbered lines without a pause, whoever takes them: the client of `attach`, over all workers."""

import contextlib
import select
import threading
import time
from collections.abc import Iterator

from supervisor.cli.viewer.places import Place, worker_path
from supervisor.cli.viewer.worker_link import Role, WorkerLink

_EVERY_S = 0.01
_PATIENCE_S = 20.0


class Typist:
    def __init__(self, runtime_dir: str, session: str) -> None:
        self.said: list[str] = []
        self._link = WorkerLink(worker_path(Place(runtime_dir, session)), Role.SENDER, self.said.append)
        self._over = threading.Event()
        self.lines = 0

    @property
    def typed(self) -> bytes:
        return b"".join(b"%08d\n" % line for line in range(self.lines))

    def type(self) -> None:
        next_s = time.monotonic()
        while not self._over.is_set():
            now_s = time.monotonic()
            if now_s >= next_s:
                self._link.type(b"%08d\n" % self.lines)
                self.lines += 1
                next_s = now_s + _EVERY_S
            self._turn(next_s - now_s)
        deadline_s = time.monotonic() + _PATIENCE_S
        while self._link.outbox and time.monotonic() < deadline_s:
            self._turn(_EVERY_S)
        self._link.hang_up()

    def _turn(self, most_s: float) -> None:
        reads = [fd for fd in (self._link.fileno(),) if fd >= 0]
        select.select(reads, reads if self._link.wants_to_send else [], [], max(0.0, most_s))
        now_s = time.monotonic()
        if self._link.fileno() < 0 and (self._link.greeting is None or self._link.redial.is_due(now_s)):
            self._link.connect(now_s)
        while self._link.receive(now_s) is not None:
            pass
        self._link.flush()

    @contextlib.contextmanager
    def typing(self) -> Iterator[None]:
        thread = threading.Thread(target=self.type, name="typist")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
