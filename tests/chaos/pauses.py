"""How long did the output of each session stand still? Its log files are looked at every few milliseconds."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence

_LOOK_EVERY_S = 0.004


class Pauses:
    """`longest_s`: by log, since it was last asked."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._sizes = [0] * len(paths)
        self._moved_s = [time.monotonic()] * len(paths)
        self._longest_s = [0.0] * len(paths)
        self._over = threading.Event()

    def look(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            for number, path in enumerate(self._paths):
                size = os.stat(path).st_size
                if size != self._sizes[number]:
                    now_s = time.monotonic()
                    self._longest_s[number] = max(self._longest_s[number], now_s - self._moved_s[number])
                    self._sizes[number], self._moved_s[number] = size, now_s

    def taken(self) -> list[float]:
        """Since the last time. What stands still just now counts as far as it has come."""
        now_s = time.monotonic()
        longest = [max(known, now_s - moved) for known, moved in zip(self._longest_s, self._moved_s, strict=True)]
        self._longest_s = [0.0] * len(self._paths)
        return longest

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        self._moved_s = [time.monotonic()] * len(self._paths)
        thread = threading.Thread(target=self.look, name="pauses")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
