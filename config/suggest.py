"""Did you mean …? The known word that is fewest slips away. (difflib would cost its import at every start.)"""

from collections.abc import Iterable


def suggest(word: str, known: Iterable[str]) -> str:
    """The nearest of `known`, or "" where none is near: a third of the letters may be wrong, one at least."""
    limit = max(1, len(word) // 3)
    distances = sorted((_slips(word.lower(), candidate.lower()), candidate) for candidate in known)
    return distances[0][1] if distances and distances[0][0] <= limit else ""


def _slips(left: str, right: str) -> int:
    """Edit distance with neighbours swapped counted as one slip (Damerau, restricted form)."""
    before: list[int] = []
    last = list(range(len(right) + 1))
    for i, a in enumerate(left):
        row = [i + 1]
        for j, b in enumerate(right):
            slips = min(last[j] + (a != b), last[j + 1] + 1, row[j] + 1)
            if i and j and a == right[j - 1] and b == left[i - 1]:
                slips = min(slips, before[j - 1] + 1)
            row.append(slips)
        before, last = last, row
    return last[-1]
