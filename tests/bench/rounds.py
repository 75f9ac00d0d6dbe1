"""Round-robin: every contestant once, then every contestant again, so that a noisy minute hits all of them alike."""

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from tests.bench.machine import await_quiet


class Named(Protocol):
    @property
    def name(self) -> str: ...

    def missing(self) -> str | None: ...


C = TypeVar("C", bound=Named)
R = TypeVar("R")


def present(contestants: Iterable[C], wanted: Callable[[str], bool]) -> list[C]:
    """Those that can run here; the others are listed with the command that installs them."""
    found = []
    for one in contestants:
        if not wanted(one.name):
            continue
        if install := one.missing():
            print(f"  {one.name}: not installed: {install}")
        else:
            found.append(one)
    return found


def interleaved(
    title: str, contestants: Sequence[C], runs: int, quiet_s: float, measure: Callable[[C], R]
) -> Mapping[str, list[R]]:
    """`runs` results of each contestant; one that fails is named, and not asked again."""
    results: dict[str, list[R]] = {one.name: [] for one in contestants}
    failed: set[str] = set()
    for number in range(1, runs + 1):
        for one in contestants:
            if one.name in failed:
                continue
            note(f"{title}: run {number} of {runs}: {one.name}")
            await_quiet(quiet_s)
            try:
                results[one.name].append(measure(one))
            except Exception as error:  # noqa: BLE001 - a peer may fail in any way; the others are measured all the same
                failed.add(one.name)
                note("")
                print(f"  {one.name}: failed: {type(error).__name__}: {error}")
    note("")
    return {name: found for name, found in results.items() if found}


def note(text: str) -> None:
    """Progress, on one line of the terminal; nothing when stderr is a file."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{time.strftime('%H:%M:%S ') + text if text else ''}")
        sys.stderr.flush()


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
