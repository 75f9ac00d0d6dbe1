"""The read in progress: noted before it begins, and found by the next writer if nobody committed it.

Facts. What SIGKILL can take from a ring are bytes that the kernel had handed over to `readv` and no COMMIT counts.

Design. The window is filled with poison and its place stored in ARMED before the read. A writer that comes after a
killed one finds, between that place and the first poison that follows it, exactly the bytes that were read. Where the
ring is full and drops its newest, the read goes into a page of scratch: what is found there is a counted loss.

Trade-off. The one doubt is binary output that ends in poison bytes itself.
"""

from typing import NamedTuple

from ipc import ring_layout as at
from ipc.errors import RingCorrupt
from ipc.ring_memory import RingMemory

SCRATCH = 4
KIND = 3
_POISON = memoryview(bytes([at.POISON]) * (1 << 16))
_POISON_BYTES = len(_POISON)
_ARMED, _ARMED_BYTES = at.W_ARMED, at.W_ARMED_BYTES


class Unfinished(NamedTuple):
    """Bytes of a read that was not committed."""

    kind: int
    length: int
    pos: int | None  # None: they lie in the scratch page


def arm_window(memory: RingMemory, pos: int, window_bytes: int, kind: int, clean_to: int) -> memoryview:
    """Poisoned up to `clean_to` it is already."""
    start = pos & memory.data_mask
    data = memory.data
    clean = max(pos, clean_to)
    end = pos + window_bytes
    while clean < end:
        step = min(end - clean, _POISON_BYTES)
        place = start + clean - pos
        data[place : place + step] = _POISON[:step]
        clean += step
    q = memory.q
    q[_ARMED_BYTES] = window_bytes
    q[_ARMED] = pos << 3 | kind
    return data[start : start + window_bytes]


def arm_scratch(memory: RingMemory, seq: int, kind: int) -> memoryview:
    scratch = memory.scratch
    scratch[:] = _POISON[: len(scratch)]
    memory.q[_ARMED] = seq << 3 | SCRATCH | kind
    return scratch


def find_unfinished(memory: RingMemory, pos: int, seq: int) -> Unfinished | None:
    """What lies before the writer's position, or belongs to an earlier seq, was committed."""
    armed, window_bytes = memory.q[_ARMED], memory.q[_ARMED_BYTES]
    kind, place = armed & KIND, armed >> 3
    if not kind:
        return None
    if armed & SCRATCH:
        return Unfinished(kind, _unpoisoned(memory.scratch), None) if place == seq else None
    if place < pos:
        return None
    start = place & memory.data_mask
    if start + window_bytes > memory.data_bytes:
        raise RingCorrupt(f"a read of {window_bytes} bytes was armed at {start}, beyond the end")
    return Unfinished(kind, _unpoisoned(memory.data[start : start + window_bytes]), place)


def _unpoisoned(window: memoryview) -> int:
    return len(bytes(window).rstrip(_POISON[:1].tobytes()))
