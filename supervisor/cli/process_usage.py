"""What the processes of each session use together: all that descend from its program. Pure but for `look`."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class ProcessRow(NamedTuple):
    pid: int
    parent: int
    cpu_s: float
    memory_bytes: int


class Usage(NamedTuple):
    cpu_s: float = 0.0
    memory_bytes: int = 0
    processes: int = 0


def usage_of(rows: Iterable[ProcessRow], roots: Iterable[int]) -> dict[int, Usage]:
    by_pid: dict[int, ProcessRow] = {}
    children: dict[int, list[int]] = {}
    for row in rows:
        by_pid[row.pid] = row
        children.setdefault(row.parent, []).append(row.pid)
    return {root: _sum(root, by_pid, children) for root in roots}


def _sum(root: int, by_pid: dict[int, ProcessRow], children: dict[int, list[int]]) -> Usage:
    cpu_s, memory_bytes, processes = 0.0, 0, 0
    left, seen = [root], set()
    while left:
        pid = left.pop()
        row = by_pid.get(pid)
        if row is None or pid in seen:
            continue
        seen.add(pid)
        cpu_s, memory_bytes, processes = cpu_s + row.cpu_s, memory_bytes + row.memory_bytes, processes + 1
        left += children.get(pid, ())
    return Usage(cpu_s, memory_bytes, processes)


def look() -> Sequence[ProcessRow]:
    """One pass over all processes, however many sessions there are."""
    import psutil  # noqa: PLC0415 - only `top` looks

    rows = []
    for process in psutil.process_iter(["pid", "ppid", "cpu_times", "memory_info"]):
        info = process.info
        times, memory = info["cpu_times"], info["memory_info"]
        if times is not None and memory is not None:
            rows.append(ProcessRow(info["pid"], info["ppid"], times.user + times.system, memory.rss))
    return rows
