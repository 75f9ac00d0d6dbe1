"""What stands at the end of a log file: decided from the last record of its index and its size. Pure.

A writer comes back to a part in one way only, whether it was killed, its disk failed, the file was cut, deleted,
renamed or written to by others, or it was asked to reopen it. What differs is what it knows:

* a *new* process knows nothing: bytes behind the last record are the stream's own. They are *in doubt* all the same,
  as somebody may have written to the file while no router ran; the ring delivers again what its cursor has not
  passed, and comparing that with the file settles it (see log_sink).
* a process that *had the part open* knows the position it had reached, so it knows which size the file must have.

In both cases the last block that the index vouches for is compared with the file first (`ours`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ipc.log_index import CHECK_BYTES, Anchor, Cause, Check, Position, Record

WRITE_BYTES = 1024 * 1024  # one write is never longer
TAIL_BYTES = CHECK_BYTES + WRITE_BYTES  # more than that can never lie behind the last record

_CUTS = frozenset({Cause.TRUNCATED, Cause.REPLACED, Cause.CLEARED})


@dataclass(frozen=True, slots=True)
class Resumption:
    position: Position  # where the stream goes on
    vouch_to: int  # file offset up to which bytes behind the last record are the stream's
    anchor: Cause | None = None  # to be stated at the file's end before the next byte
    in_doubt: bool = False


def resume(last: Record, size: int, known: Position | None, *, ours: bool = True) -> Resumption:
    if not ours:
        return Resumption(max(known or last.position, last.position), last.file_offset, Cause.REPLACED)
    return _resume_unknown(last, size) if known is None else _resume_known(last, size, known)


def _resume_unknown(last: Record, size: int) -> Resumption:
    tail_bytes = size - last.file_offset
    if tail_bytes < 0:
        return Resumption(last.position, last.file_offset, Cause.TRUNCATED)
    if tail_bytes > TAIL_BYTES:
        return Resumption(last.position, last.file_offset, Cause.FOREIGN)
    if tail_bytes == 0:
        return Resumption(last.position, last.file_offset)
    return Resumption(_moved(last.position, tail_bytes), size, Cause.RESUMED, in_doubt=True)


def _resume_known(last: Record, size: int, known: Position) -> Resumption:
    known = max(known, last.position)  # a record may have been written although writing it is said to have failed
    if known.epoch != last.position.epoch:
        return Resumption(known, last.file_offset, Cause.REPLACED)
    end = last.file_offset + known.offset - last.position.offset
    if size == end:
        return Resumption(known, end)
    if size > end:
        return Resumption(known, end, Cause.FOREIGN)
    return Resumption(known, max(last.file_offset, size), Cause.TRUNCATED)


def refute(last: Record, wrong: Position) -> Resumption:
    """Bytes in doubt turned out not to be the stream's from this position on."""
    wrong = max(wrong, last.position)
    return Resumption(wrong, last.file_offset + wrong.offset - last.position.offset, Cause.FOREIGN)


def last_block(records: Sequence[Record], size: int) -> tuple[int, Check] | None:
    """The last block that the index vouches for and the file still has: its first file offset, and its Check."""
    for place in range(len(records) - 1, 0, -1):
        record, before = records[place], records[place - 1]
        if isinstance(record, Anchor) and record.cause in _CUTS:
            return None
        if isinstance(record, Check) and before.file_offset < record.file_offset <= size:
            return before.file_offset, record
    return None


def _moved(position: Position, count: int) -> Position:
    return Position(position.epoch, position.offset + count)
