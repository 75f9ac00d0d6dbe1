"""When to try again to reach somebody who was killed and is about to come back. Pure: times are passed in.

A new worker or router is there within milliseconds, so the first tries come fast; one that takes longer is worth a line
to the user, and one that does not come at all ends the matter. One that is being killed may take a call and never
answer: its listening socket is closed later than others of its fds.
"""

_FIRST_WAIT_S = 0.001
_LONGEST_WAIT_S = 0.25
_ANSWER_S = 5.0
TELL_AFTER_S = 1.0
GIVE_UP_AFTER_S = 30.0


class Redial:
    """Not lost to begin with."""

    def __init__(self) -> None:
        self._lost_s: float | None = None
        self._next_s = 0.0
        self._wait_s = _FIRST_WAIT_S
        self._is_taken = False  # the call, by somebody who has yet to speak

    @property
    def is_lost(self) -> bool:
        return self._lost_s is not None

    def lost(self, now_s: float) -> None:
        if self._lost_s is None:
            self._lost_s = self._next_s = now_s
            self._wait_s = _FIRST_WAIT_S
        elif self._is_taken:
            self.tried(now_s)

    def tried(self, now_s: float) -> None:
        """In vain."""
        self._is_taken = False
        self._next_s = now_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)

    def dialled(self, now_s: float) -> None:
        """Somebody takes the call; what he says is another matter."""
        self._next_s = now_s + _ANSWER_S
        self._is_taken = True

    def found(self) -> None:
        self._lost_s, self._is_taken = None, False

    def is_due(self, now_s: float) -> bool:
        return self.is_lost and now_s >= self._next_s

    def missed_s(self, now_s: float) -> float:
        return 0.0 if self._lost_s is None else now_s - self._lost_s

    def deadline_s(self) -> float | None:
        return self._next_s if self.is_lost else None
