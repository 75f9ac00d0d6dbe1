"""What the keeper hands to a worker that it forks.

The fds are the keeper's copies: the same open files, in non-blocking mode, so that a worker that dies is
replaced by one that goes on with them. The program's own ends are other open files, in blocking mode,
whatever we do to ours.

The end of a pipe session's input takes two closes, since each copy of the write end keeps the program
waiting: a client asks the worker, which closes its copy behind the last queued byte, and the supervisor
asks the keeper (CloseStdin), which closes its own. Their order does not matter. A worker started later gets
stdin = -1.
"""

import msgspec


class PtyFds(msgspec.Struct, frozen=True, tag=True):
    master: int


class PipeFds(msgspec.Struct, frozen=True, tag=True):
    stdin: int  # -1: closed
    stdout: int
    stderr: int


class WorkerJob(msgspec.Struct, frozen=True):
    session: str
    epoch: int
    slot: int
    fds: PtyFds | PipeFds | None  # None: keeper and worker died together: only the epoch's end is left to be written
    program_pid: int
    pidfd: int  # the program's: readable once it is gone, also after it was reaped
    ring_dir: str
    runtime_dir: str
    keeper_pid: int = 0
    orphan_linger_s: float = 0.5
    stall_max_s: float = 30.0


class LastWord(msgspec.Struct, frozen=True):
    """What a worker leaves that no keeper will reap: how its program ended."""

    epoch: int
    status: int | None  # as wait(2) has it
    time_ns: int  # CLOCK_MONOTONIC


# A worker's exit codes. Any other, and any signal, is a crash: the keeper forks the next worker.
OUTPUT_ENDED = 0
RING_REFUSED = 3
MADE_PLACE = 4  # it was asked to, by SIGTERM: the next worker goes on where it stopped, between two frames
