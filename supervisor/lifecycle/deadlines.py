"""The nearest of all deadlines. Only sessions that wait for one are looked through: of a quiet fleet, none."""


class Deadlines:
    def __init__(self) -> None:
        self._at_s: dict[str, float] = {}

    def set(self, name: str, at_s: float | None) -> None:
        if at_s is None:
            self._at_s.pop(name, None)
        else:
            self._at_s[name] = at_s

    def next_s(self) -> float | None:
        return min(self._at_s.values(), default=None)

    def due(self, now_s: float) -> tuple[str, ...]:
        """The earliest first. A copy: whoever takes one moves its deadline."""
        due = sorted((at_s, name) for name, at_s in self._at_s.items() if at_s <= now_s)
        return tuple(name for _, name in due)
