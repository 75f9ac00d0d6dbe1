"""Where a ring's streams stand, rebuilt from its last descriptor and its tally by whoever begins to write.

One descriptor says where both streams stood behind it. The tally holds where that is not the whole truth: after drops
that no frame has followed yet, and in a generation that has no frame.
"""

from typing import NamedTuple

from ipc.errors import RingCorrupt
from ipc.frames import Kind
from ipc.ring_memory import Descriptor, RingMemory, Tally

_KINDS = frozenset(int(kind) for kind in Kind)


class Standing(NamedTuple):
    pos: int
    run: int
    tally: Tally


def standing_of(memory: RingMemory, commit: int) -> Standing:
    tally = memory.tally()
    if commit <= memory.base_frame:
        return Standing(0, 0, tally)
    last = memory.descriptor(commit - 1)
    if last.kind not in _KINDS or last.length > memory.data_bytes:
        raise RingCorrupt(f"frame {commit - 1} has kind {last.kind} and {last.length} bytes")
    if last.seq >= tally.seq:
        out_offset, err_offset = _offsets_behind(last)
        tally = Tally(last.seq + 1, last.epoch, out_offset, err_offset, tally.lost_frames, tally.lost_bytes)
    return Standing(last.pos + last.length, last.run, tally)


def _offsets_behind(last: Descriptor) -> tuple[int, int]:
    """Of OUT and of ERR."""
    match last.kind:
        case Kind.OUT:
            return last.offset + last.length, last.other_offset
        case Kind.ERR:
            return last.other_offset, last.offset + last.length
        case _:
            return last.offset, last.other_offset
