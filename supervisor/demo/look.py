"""What there is to know of the fleet at one moment: its status, what its processes use, and its books.

The books of a session are read from its ring alone, so that both sides are of one moment: what the program has written,
and how much of it the log has.
"""

import time
from collections.abc import Mapping
from typing import NamedTuple

from ipc import ring_layout as at
from ipc.errors import IpcError
from ipc.frames import STREAMS
from ipc.ring_file import open_ring
from ipc.ring_memory import RingMemory
from supervisor.cli.operating import Operator
from supervisor.cli.process_usage import look, usage_of
from supervisor.cli.top_table import Sample
from supervisor.control.messages import StatusReport


class Books(NamedTuple):
    """Of the present run."""

    written_bytes: int
    logged_bytes: int
    lost_bytes: int


class Look(NamedTuple):
    report: StatusReport
    sample: Sample
    books: Mapping[str, Books]


def look_at(operator: Operator) -> Look:
    report = operator.status()
    usage = usage_of(look(), [session.pid for session in report.sessions if session.pid])
    sample = Sample(time.monotonic(), report.fleet, report.sessions, usage, {})
    ring_dir = operator.fleet.record.ring_dir
    books = {session.name: _books(ring_dir, session.name, session.lost_bytes) for session in report.sessions}
    return Look(report, sample, books)


def _books(ring_dir: str, session: str, lost_bytes: int) -> Books:
    try:
        written, logged = positions(open_ring(ring_dir, session, writable=False))
    except (OSError, IpcError, ValueError, IndexError):  # no ring yet, or a new generation of it
        written, logged = 0, 0
    return Books(written, logged, lost_bytes)


def positions(memory: RingMemory) -> tuple[int, int]:
    """Written, and logged. The cursor is read first: what is logged by then is written by then."""
    q = memory.q
    cursor, commit = q[at.reader_word(at.ReaderSlot.LOG, at.R_CURSOR)], q[at.W_COMMIT]
    if commit <= memory.base_frame:
        written = memory.tally().out_offset
        return written, written
    last = memory.descriptor(commit - 1)
    written = last.offset + (last.length if last.kind in STREAMS else 0)
    if cursor >= commit:
        return written, written
    first = memory.descriptor(cursor)
    return written, first.offset if first.epoch == last.epoch else 0
