"""Do a session's books balance? The log is re-read and checked against its index, and the ring, as far as it still
holds the same bytes, is compared with the log byte by byte.

It needs no daemon and writes nothing. No two counters that the same code wrote are compared: what counts are bytes.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ipc import ring_layout as at
from ipc.errors import IpcError
from ipc.frames import Kind
from ipc.log_reader import read_stream
from ipc.log_verify import LogReport, verify_log
from ipc.ring_file import open_ring
from ipc.ring_memory import RingMemory
from ipc.ring_reader import locate_run

_PIECE_BYTES = 1 << 16


@dataclass(slots=True)
class SessionReport:
    log: LogReport
    compared_bytes: int = 0  # found in both, ring and log, and equal
    ring_only_bytes: int = 0  # still on their way into the log
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.log.ok and not self.problems


def verify_session(
    ring_dir: str | None, session: str, log_dir: str | Path, log_name: str, kind: Kind = Kind.OUT
) -> SessionReport:
    """Without a ring directory the log alone is checked."""
    report = SessionReport(verify_log(log_dir, log_name))
    if ring_dir is not None:
        with contextlib.suppress(FileNotFoundError):
            _compare_ring(report, open_ring(ring_dir, session, writable=False), log_dir, log_name, kind)
    return report


def _compare_ring(report: SessionReport, memory: RingMemory, log_dir: str | Path, log_name: str, kind: Kind) -> None:
    try:
        for epoch, offset, data in _pieces(memory, kind):
            _compare(report, log_dir, log_name, epoch, offset, data)
    except (IpcError, ValueError, IndexError) as error:
        report.problems.append(f"the ring cannot be read: {error}")


def _pieces(memory: RingMemory, kind: Kind) -> Iterator[tuple[int, int, bytes]]:
    """Copies of what the ring holds of this stream; what is overwritten meanwhile is left out."""
    cursor, commit = memory.q[at.W_OLDEST], memory.q[at.W_COMMIT]
    while cursor < commit:
        run = locate_run(memory, cursor, commit, _PIECE_BYTES)
        data = bytes(run.view)
        oldest = memory.q[at.W_OLDEST]
        if oldest > cursor:
            cursor = oldest
            continue
        cursor = run.end
        if run.kind == kind:
            yield run.epoch, run.offset, data


def _compare(report: SessionReport, log_dir: str | Path, log_name: str, epoch: int, offset: int, data: bytes) -> None:
    end = offset + len(data)
    compared = 0
    for place, piece in read_stream(log_dir, log_name, epoch, offset, end):
        if piece != data[place - offset : place - offset + len(piece)]:
            report.problems.append(f"epoch {epoch}, bytes {place} to {place + len(piece)}: log and ring differ")
        compared += len(piece)
    report.compared_bytes += compared
    report.ring_only_bytes += len(data) - compared
