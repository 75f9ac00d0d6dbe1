"""Workers are replaced one by one, each once the one before it is at work again. Pure.

One that cannot be replaced now, because it is stopped or its session is just ending, is passed over and named. A new
one that dies ends the round: the others keep the code that works.
"""

from collections import deque
from collections.abc import Iterable

from msgspec import Struct, field

_NAMED = 5


class WorkerRound(Struct):
    waiting: deque[tuple[str, int]]  # session, epoch
    current: str = ""
    epoch: int = 0
    asked_s: float = 0.0
    pauses_s: list[float] = field(default_factory=list)
    replaced: set[str] = field(default_factory=set)
    passed_over: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, sessions: Iterable[tuple[str, int]]) -> "WorkerRound":
        return cls(deque(sessions))

    def next(self, now_s: float) -> tuple[str, int] | None:
        self.current, self.epoch = self.waiting.popleft() if self.waiting else ("", 0)
        self.asked_s = now_s
        return (self.current, self.epoch) if self.current else None

    def is_back(self, session: str, now_s: float) -> bool:
        """A worker was started: is it the one that is waited for?"""
        if session != self.current:
            return False
        self.pauses_s.append(now_s - self.asked_s)
        self.replaced.add(session)
        return True

    def pass_over(self, session: str, why: str) -> bool:
        if session != self.current:
            return False
        self.passed_over[session] = why
        return True

    def in_words(self) -> str:
        said = f"{len(self.replaced)} replaced"
        if self.passed_over:
            named = ", ".join(f"{name} ({why})" for name, why in list(self.passed_over.items())[:_NAMED])
            said += f", {len(self.passed_over)} not: {named}{' …' if len(self.passed_over) > _NAMED else ''}"
        return said
