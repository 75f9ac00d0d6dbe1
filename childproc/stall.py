"""When a ring that waits for its readers has waited long enough. Pure: `now_s` is passed in.

A slow log moves, and may hold its program back for as long as it moves. One that has failed, or whose router is
stopped, does not move at all: after `max_s` without a step the ring stops waiting for it, until it moves again.
"""


class StallClock:
    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._gate: int | None = None
        self.deadline_s: float | None = None
        self.stalled = False

    def wait(self, gate: int | None, now_s: float) -> None:
        """The ring is full, and the slowest reader it waits for stands at frame `gate`."""
        if self.deadline_s is None or gate != self._gate:
            self._gate = gate
            self.deadline_s = now_s + self._max_s

    def expired(self, now_s: float) -> bool:
        if self.deadline_s is not None and now_s >= self.deadline_s:
            self.stalled = True
            self.deadline_s = None
        return self.stalled

    def look(self, gate: int | None) -> bool:
        """Still stalled? A reader that moved is waited for again."""
        if self.stalled and gate != self._gate:
            self.stalled = False
            self._gate = gate
        return self.stalled
