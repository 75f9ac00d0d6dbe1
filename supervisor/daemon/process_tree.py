"""Which processes belong to a session besides its leader, and their end.

Facts. The keeper is a subreaper: whatever survives its parent below it becomes its child. So every process of a
session is either below the leader, or below a child of the keeper that is none of the keeper's own. Such an orphan
says in its environment of which session and epoch it is, unless it has wiped that out; then its session id may still
be the leader's. What a keeper that died had forked, and its orphans, are children of the next subreaper above or of
init: of an ancestor of the keeper that came after it. A pid may be somebody else's a moment later: a pidfd is taken,
and the start time looked at again, before anything is sent.

Trade-off. What wipes its environment, leaves the session id and its parent is not found: it is nobody's that we can
name, and nothing outside a session is ever touched. Containment by cgroup has no such hole.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import NamedTuple

SESSION_VARIABLE = "RINGVISOR_SESSION"
EPOCH_VARIABLE = "RINGVISOR_EPOCH"
_ROUNDS = 8


class Process(NamedTuple):
    pid: int
    start_ticks: int
    sid: int


class Orphan(NamedTuple):
    process: Process
    session: str  # "" where it does not say
    epoch: int


def orphans(parents: list[int], own: set[int]) -> list[Orphan]:
    """Children of these that the keeper did not fork itself."""
    return [
        Orphan(process, *claim(pid))
        for parent in parents
        for pid in children(parent)
        if pid not in own and (process := look(pid)) is not None
    ]


def ancestors(pid: int) -> list[int]:
    """The nearest first, up to init."""
    found = []
    while (pid := parent(pid)) > 0:
        found.append(pid)
    return found


def parent(pid: int) -> int:
    """0: it is gone, or has none here."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def below(pid: int) -> Iterator[Process]:
    """Everything that descends from it, itself first."""
    process = look(pid)
    if process is None:
        return
    yield process
    for thread in _threads(pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
            for word in file.read().split():
                yield from below(int(word))


def kill_below(pids: list[int]) -> int:
    """Kill these and all that descends from them, again as long as something new is found. How many were left."""
    for _ in range(_ROUNDS):
        found = [process for pid in pids for process in below(pid)]
        alive = [process for process in found if kill(process)]
        if not alive:
            return 0
    return len(alive)


def kill(process: Process) -> bool:
    """False: it is gone already."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if look(process.pid) != process:
            return False
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def look(pid: int) -> Process | None:
    """None: it is gone, or only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[0] in {b"Z", b"X"}:
        return None
    return Process(pid, int(fields[19]), int(fields[3]))


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def claim(pid: int) -> tuple[str, int]:
    """Session and epoch, as its environment says."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = dict(entry.partition(b"=")[::2] for entry in file.read().split(b"\0"))
    except OSError:
        return "", 0
    session = os.fsdecode(variables.get(SESSION_VARIABLE.encode(), b""))
    epoch = variables.get(EPOCH_VARIABLE.encode(), b"")
    return session, int(epoch) if epoch.isdigit() else 0
