"""What a fleet needs of its machine, and which number to change where that is not there. Pure: facts in, findings out.

`ringvisord` looks before it starts: what makes the fleet as a whole impossible is an error, what will keep some of its
sessions from starting or growing a warning. `ringctl doctor` looks with the needs of a middling fleet.
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

_MB = 2**20
_OWN_FILES = 64
_FILES_A_SESSION = 6  # of the keeper or the router, whichever has more
_OWN_PROCESSES = 16
_PROCESSES_A_SESSION = 2  # worker and program


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(Struct, frozen=True):
    check: str
    level: Level
    found: str
    advice: str = ""


class SharedMemory(Struct, frozen=True):
    path: str
    filesystem: str
    size_bytes: int
    free_bytes: int


class Ceiling(Struct, frozen=True):
    """On the number of processes: of a control group, or of a user."""

    name: str
    most: int
    used: int


class Limits(Struct, frozen=True):
    nofile_hard: int
    nofile_most: int  # what it can be raised to from here
    pty_max: int
    pty_used: int
    shared_memory: SharedMemory
    processes: Sequence[Ceiling]


class Needs(Struct, frozen=True):
    sessions: int
    terminals: int
    rings_bytes: int  # as they are when made
    rings_max_bytes: int  # the fleet's cap

    @property
    def nofile(self) -> int:
        return _OWN_FILES + _FILES_A_SESSION * self.sessions

    @property
    def processes(self) -> int:
        return _OWN_PROCESSES + _PROCESSES_A_SESSION * self.sessions


def limit_findings(limits: Limits, needs: Needs) -> list[Finding]:
    return [
        _nofile(limits, needs),
        _terminals(limits, needs),
        _cap(needs),
        _rings(limits.shared_memory, needs),
        *(_processes(ceiling, needs) for ceiling in limits.processes),
    ]


def _nofile(limits: Limits, needs: Needs) -> Finding:
    most = max(limits.nofile_hard, limits.nofile_most)
    found = f"{most} open files, {needs.nofile} needed for {needs.sessions} sessions"
    if most >= needs.nofile:
        return Finding("nofile", Level.OK, found)
    room = max(0, (most - _OWN_FILES) // _FILES_A_SESSION)
    advice = (
        f"enough for {room} sessions: raise the hard limit to {needs.nofile} (LimitNOFILE=, ulimit -Hn, limits.conf)"
    )
    return Finding("nofile", Level.WARN if room else Level.FAIL, found, advice)


def _terminals(limits: Limits, needs: Needs) -> Finding:
    spare = limits.pty_max - limits.pty_used
    found = f"{limits.pty_used} of {limits.pty_max} in use, {needs.terminals} needed"
    if limits.pty_max and spare < needs.terminals:
        advice = f"sysctl kernel.pty.max={_round_up(limits.pty_used + needs.terminals)}"
        return Finding("terminals", Level.WARN, found, advice)
    return Finding("terminals", Level.OK, found)


def _cap(needs: Needs) -> Finding:
    found = f"{_size(needs.rings_max_bytes)} for all rings, {_size(needs.rings_bytes)} needed to make them"
    if needs.rings_bytes > needs.rings_max_bytes:
        advice = f'set fleet.ring_memory = "{_megabytes(needs.rings_bytes)}M" or more, or lower ring sizes'
        return Finding("ring_memory", Level.FAIL, found, advice)
    return Finding("ring_memory", Level.OK, found)


def _rings(memory: SharedMemory, needs: Needs) -> Finding:
    found = f"{memory.path} {memory.filesystem}, {_size(memory.free_bytes)} free"
    used_bytes = memory.size_bytes - memory.free_bytes
    if memory.filesystem != "tmpfs":
        return Finding("ring_dir", Level.FAIL, found, f"mount -t tmpfs tmpfs {memory.path}, or set fleet.ring_dir")
    if memory.free_bytes < needs.rings_bytes:
        needed = f"{_size(needs.rings_bytes)} needed: {_remount(memory, used_bytes + needs.rings_max_bytes)}"
        return Finding("ring_dir", Level.FAIL, found, needed)
    if memory.free_bytes < min(needs.rings_max_bytes, 4 * needs.rings_bytes):
        advice = f"full rings will hardly grow: {_remount(memory, used_bytes + needs.rings_max_bytes)}"
        return Finding("ring_dir", Level.WARN, found, advice)
    return Finding("ring_dir", Level.OK, found)


def _remount(memory: SharedMemory, size_bytes: int) -> str:
    size = _megabytes(size_bytes)
    return f"mount -o remount,size={size}M {memory.path} (docker: --shm-size={size}m)"


def _processes(ceiling: Ceiling, needs: Needs) -> Finding:
    found = f"{ceiling.used} of {ceiling.most} in use, {needs.processes} needed for {needs.sessions} sessions"
    if ceiling.most - ceiling.used >= needs.processes:
        return Finding("processes", Level.OK, found)
    most = _round_up(ceiling.used + needs.processes)
    return Finding("processes", Level.WARN, found, f"raise {ceiling.name} to {most}, programs' own children on top")


def _round_up(number: int) -> int:
    """To a number that a person would write."""
    return max(1024, 1 << (number - 1).bit_length())


def _megabytes(size_bytes: int) -> int:
    return -(-size_bytes // _MB)


def _size(size_bytes: int) -> str:
    return f"{_megabytes(size_bytes)} MB"
