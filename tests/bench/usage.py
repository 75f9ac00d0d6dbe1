"""What processes use, as the kernel counts it: CPU, memory, wake-ups."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import family


@dataclass(frozen=True, slots=True)
class Memory:
    rss_kb: int
    pss_kb: int


def memory(pid: int) -> Memory | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    sizes = {words[0]: int(words[1]) for line in lines[1:] if len(words := line.split()) == 3}
    return Memory(sizes["Rss:"], sizes["Pss:"]) if "Rss:" in sizes else None


def memories(pids: Iterable[int]) -> list[Memory]:
    return [found for pid in pids if (found := memory(pid))]


def cpu_s(pids: Iterable[int]) -> float:
    """Their own, all threads; not that of the programs they have reaped."""
    return sum(family.exact_cpu_s(found) for pid in pids if (found := family.process(pid)))


def wakeups(pids: Iterable[int]) -> int:
    """Voluntary context switches of all threads: each is one return from sleep."""
    return sum(_voluntary(status) for pid in pids for status in Path(f"/proc/{pid}/task").glob("*/status"))


def _voluntary(status: Path) -> int:
    try:
        lines = status.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def cpu_by_role(pids: Mapping[str, Sequence[int]]) -> dict[str, float]:
    return {role: cpu_s(members) for role, members in pids.items()}


def written_bytes(pid: int) -> int:
    """What a process has passed to write() so far; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))
