"""The next generation of a ring: everything that is still whole moves over, then the old one says where to go on.

The new segment contains all that the old one had, so that a reader changes over at any moment, at its own cursor,
and nobody has to drain the old one. Growing keeps positions: a frame that does not cross a multiple of the old size
does not cross one of the new size either, and the copy is a handful of slices. Shrinking happens only when
everybody has read everything; what fits into half of the small ring is packed again from position 0, so that there
is still a history to show.

The order, each step of which may be the last one of a killed writer:
  1 the new segment is complete under its own name (magic last)   else: it is deleted and made again
  2 NEXT_GENERATION is stored in the old one: its COMMIT is final
  3 readers that came after the copy are carried over             else: whoever attaches finds 2 and does it
  4 the new file is renamed over the old one                      else: as 3

A reader that finds 2 changes over at once, whether the new file still stands beside the old one or has its name
already: nobody waits for a writer that may be dead.
"""

from ipc import ring_layout as at
from ipc.ordering import barrier
from ipc.ring_memory import Descriptor, RingMemory, initial_header


def following_header(old: RingMemory, data_bytes: int) -> bytearray:
    q = old.q
    header = initial_header(
        data_bytes,
        least_bytes=q[at.W_LEAST_BYTES],
        most_bytes=q[at.W_MOST_BYTES],
        policy=at.Policy(q[at.W_POLICY]),
        generation=old.generation + 1,
    )
    words = memoryview(header).cast("Q")
    for first, last in _CARRIED_WORDS:
        words[first:last] = q[first:last]
    for slot in range(at.READERS):
        words[at.reader_word(slot, at.R_PIN)] = 0
    words[at.W_COMMIT] = q[at.W_COMMIT]
    words[at.W_OLDEST] = words[at.W_BASE_FRAME] = _first_kept(old, data_bytes)
    words.release()
    return header


def carry_readers(old: RingMemory, following: RingMemory) -> None:
    """After NEXT_GENERATION was stored. A reader that came or went while its words were being copied stands in the old
    ring only; it stores them, then looks at NEXT_GENERATION, so that either it or the writer notices."""
    barrier()
    for slot in range(at.READERS):
        _carry_reader(old.q, following.q, at.reader_word(slot, 0))
    if old.q[at.W_FOLLOWERS]:
        following.q[at.W_FOLLOWERS] = 1


def _carry_reader(here: memoryview, there: memoryview, base: int) -> None:
    """The new ring is looked at first: who has changed over already stands in the old one too."""
    known = there[base + at.R_STATE], there[base + at.R_BELL]
    state, bell = here[base + at.R_STATE], here[base + at.R_BELL]
    if (state, bell) == known or state == known[0] == at.ReaderState.FREE:
        return
    if known[0] == at.ReaderState.FREE:
        there[base + at.R_CURSOR] = here[base + at.R_CURSOR]
    there[base + at.R_BELL] = bell
    there[base + at.R_STATE] = state


# Tally, statistics and input counters, and the readers with their cursors. Nothing is armed, nobody waits.
_CARRIED_WORDS = (
    (at.W_TALLY_SELECT, at.W_TALLY + 2 * at.TALLY_WORDS),
    (at.W_WRITER_PID, at.W_INPUT_ARMED + 1),
    (at.W_READERS_STAMP, at.reader_word(at.READERS, 0)),
)


def _first_kept(old: RingMemory, data_bytes: int) -> int:
    commit, oldest = old.q[at.W_COMMIT], old.q[at.W_OLDEST]
    if data_bytes >= old.data_bytes or oldest == commit:
        return oldest
    last = old.descriptor(commit - 1)
    fits = old.first_frame_from(last.pos + last.length - data_bytes // 2, oldest, commit)
    return max(fits, commit - at.slots_for(data_bytes) // 2)


def transplant(old: RingMemory, new_buffer: memoryview, data_bytes: int) -> None:
    """Fill the buffer behind its header, which is already there."""
    slots = at.slots_for(data_bytes)
    data = new_buffer[at.HEADER_BYTES + slots * at.DESCRIPTOR_BYTES :]
    first, commit = _first_kept(old, data_bytes), old.q[at.W_COMMIT]
    if data_bytes >= old.data_bytes:
        _copy_descriptors(old, new_buffer, slots, first, commit)
        _copy_positions(old, data, data_bytes, first, commit)
    else:
        _pack(old, new_buffer, slots, data, range(first, commit))


def _copy_descriptors(old: RingMemory, new_buffer: memoryview, slots: int, first: int, commit: int) -> None:
    while first < commit:
        source, target = first & (old.slots - 1), first & (slots - 1)
        count = min(commit - first, old.slots - source, slots - target)
        length = count * at.DESCRIPTOR_BYTES
        here = at.HEADER_BYTES + source * at.DESCRIPTOR_BYTES
        there = at.HEADER_BYTES + target * at.DESCRIPTOR_BYTES
        new_buffer[there : there + length] = old.buffer[here : here + length]
        first += count


def _copy_positions(old: RingMemory, data: memoryview, data_bytes: int, first: int, commit: int) -> None:
    if first == commit:
        return
    last = old.descriptor(commit - 1)
    pos, end = old.pos_of(first), last.pos + last.length
    while pos < end:
        source, target = pos & (old.data_bytes - 1), pos & (data_bytes - 1)
        length = min(end - pos, old.data_bytes - source, data_bytes - target)
        data[target : target + length] = old.data[source : source + length]
        pos += length


def _pack(old: RingMemory, new_buffer: memoryview, slots: int, data: memoryview, frames: range) -> None:
    pos = 0
    for run, frame in enumerate(frames):
        descriptor = old.descriptor(frame)
        start = descriptor.pos & (old.data_bytes - 1)
        data[pos : pos + descriptor.length] = old.data[start : start + descriptor.length]
        moved: Descriptor = descriptor._replace(pos=pos, run=run)
        place = at.HEADER_BYTES + (frame & (slots - 1)) * at.DESCRIPTOR_BYTES
        at.DESCRIPTOR.pack_into(new_buffer, place, *moved)
        pos += descriptor.length
