"""The nearest of all deadlines, as a heap: an entry that was overtaken stays in it until it comes to the top."""

import heapq


class Deadlines:
    def __init__(self) -> None:
        self._at_s: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def set(self, name: str, at_s: float | None) -> None:
        if at_s is None:
            self._at_s.pop(name, None)
        elif self._at_s.get(name) != at_s:
            self._at_s[name] = at_s
            heapq.heappush(self._heap, (at_s, name))

    def next_s(self) -> float | None:
        while self._heap and not self._is_valid(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now_s: float) -> tuple[str, ...]:
        """The earliest first. They stay until whoever takes them moves them."""
        found = []
        while (next_s := self.next_s()) is not None and next_s <= now_s:
            found.append(heapq.heappop(self._heap))
        for entry in found:
            heapq.heappush(self._heap, entry)
        return tuple(dict.fromkeys(name for _, name in found))

    def _is_valid(self, entry: tuple[float, str]) -> bool:
        at_s, name = entry
        return self._at_s.get(name) == at_s
