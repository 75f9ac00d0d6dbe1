"""Short sessions that end in every way there is: each byte arrives, and the end is told once and rightly.

`python -m tests.chaos.drain_matrix --sessions 10000 [--processes 2]` runs the cells of the matrix over and over, and
says how many bytes came and how many were lost. Without --sessions: each cell once.
"""

import argparse
import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from childproc.spec import Io
from ipc.frames import EndReason
from tests.support import leaks
from tests.support.worker_process import LATE, WorkerRig, actor, lines

SIZES = (0, 100, 4095, 4096, 1 << 16, 1 << 20)
_LINGER_S = 0.2
# Starting a worker takes a few milliseconds, a megabyte some more; spinning through the linger would take all of it.
_MOST_CPU_S = 0.12


class Ending(StrEnum):
    EXIT = "exit"
    CODE = "code"
    KILLED = "killed"
    STOPPED = "stopped"  # SIGSTOP, then SIGKILL
    EXEC = "exec3"  # a chain of execs, each of which writes its part
    CHILD = "child"  # leaves a child that dies of the hang-up, if there is a terminal
    LATE = "late"  # leaves a child that ignores it, writes and exits
    GROUP = "group"  # ... one in a process group of its own
    SESSION = "session"  # ... one in a session of its own
    DOUBLE = "double"  # ... a grandchild
    HOLDER = "holder"  # ... one that writes and holds on for ever
    DEVTTY = "devtty"  # closes its fds, then opens /dev/tty and writes


class Mode(StrEnum):
    RAW = "raw"
    COOKED = "cooked"
    PIPE = "pipe"


_ORPHANS_WRITE = {Ending.LATE, Ending.GROUP, Ending.SESSION, Ending.DOUBLE, Ending.HOLDER}
_STATUS = {Ending.CODE: 7, Ending.KILLED: -signal.SIGKILL, Ending.STOPPED: -signal.SIGKILL}


@dataclass(frozen=True)
class Cell:
    ending: Ending
    size_bytes: int
    mode: Mode

    def __str__(self) -> str:
        return f"{self.ending}-{self.size_bytes}-{self.mode}"

    @property
    def argv(self) -> list[str]:
        return [actor(), self.ending, str(self.size_bytes), self.mode]

    @property
    def is_held(self) -> bool:
        """Somebody has the other end open for ever."""
        return self.ending is Ending.HOLDER or (self.ending is Ending.CHILD and self.mode is Mode.PIPE)

    @property
    def late(self) -> bytes:
        if self.ending is Ending.DEVTTY and self.mode is Mode.PIPE:
            return b""
        return self._as_read(LATE) if self.ending in {*_ORPHANS_WRITE, Ending.DEVTTY} else b""

    @property
    def body(self) -> bytes:
        return self._as_read(lines(self.size_bytes))

    def _as_read(self, written: bytes) -> bytes:
        return written.replace(b"\n", b"\r\n") if self.mode is Mode.COOKED else written


CELLS = tuple(Cell(*cell) for cell in itertools.product(Ending, SIZES, Mode))


def run(cell: Cell, base_dir: str) -> int:
    """The bytes that came, after all of them were compared."""
    io = Io.PIPE if cell.mode is Mode.PIPE else Io.PTY
    linger_s = _LINGER_S if cell.is_held else 20.0
    with WorkerRig(base_dir, cell.argv, io=io, orphan_linger_s=linger_s) as rig:
        if cell.ending is Ending.STOPPED:
            rig.until_program_stops()
            os.kill(rig.pid, signal.SIGKILL)
        rig.until_ended()
        check(cell, rig)
        return len(rig.out.data)


def check(cell: Cell, rig: WorkerRig) -> None:
    out, end = rig.out, rig.ledger.end()
    assert rig.program_status == _STATUS.get(cell.ending, 0), rig.program_status
    assert end is (EndReason.DRAINED if cell.is_held else EndReason.EOF), end
    # A child that is slower than the linger was not waited for: that is what the linger means.
    wanted = {cell.body + cell.late, cell.body} if cell.is_held else {cell.body + cell.late}
    assert bytes(out.data) in wanted, f"{len(out.data)} bytes came of {len(cell.body + cell.late)}"
    assert not out.gaps
    assert cell.late.endswith(out.orphaned), "only what came after the leader's end is an orphan's"
    assert rig.worker_used_s < _MOST_CPU_S, f"the worker used {rig.worker_used_s} s"


def run_many(sessions: int, first: int, step: int) -> tuple[int, list[str]]:
    leaks.become_subreaper()
    came_bytes, failures = 0, []
    for number in range(first, sessions, step):
        cell = CELLS[number % len(CELLS)]
        base_dir = tempfile.mkdtemp(prefix="ringvisor-drain-", dir=leaks.SHARED_MEMORY)
        try:
            came_bytes += run(cell, base_dir)
        except AssertionError as error:
            failures.append(f"{cell}: {error}")
        finally:
            shutil.rmtree(base_dir)
    return came_bytes, failures


def _in_processes(sessions: int, processes: int) -> Iterator[tuple[int, list[str]]]:
    """Each in a child of its own, that says what it found through a pipe."""
    pipes = []
    for first in range(processes):
        read_end, write_end = os.pipe()
        if os.fork() == 0:
            came_bytes, failures = run_many(sessions, first, processes)
            os.write(write_end, "\n".join([str(came_bytes), *failures[:100]]).encode())
            os._exit(0)
        os.close(write_end)
        pipes.append(read_end)
    for read_end in pipes:
        with open(read_end) as result:
            first_line, *failures = result.read().split("\n")
            yield int(first_line), failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=len(CELLS))
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    actor()
    results = list(_in_processes(options.sessions, options.processes))
    failures = [failure for _, failed in results for failure in failed]
    print(f"{options.sessions} sessions, {sum(came for came, _ in results)} bytes, {len(failures)} failures")
    print(*failures[:20], sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
