"""The ring's arithmetic over ordinary memory: what is written is read, and what is not read is counted."""

import contextlib
import random
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc import ring_layout as at
from ipc.board import sleeping_word
from ipc.errors import RingCorrupt, RingVersion
from ipc.frames import Kind, Resize, decode_resize, encode_resize
from ipc.ring_memory import RingMemory
from ipc.ring_reader import Copied, Lapped, RingReader
from ipc.ring_writer import RingWriter
from tests.support.memory_ring import Killed, MemoryRing


class Source:
    """An endless stream whose every byte says where it stands; never ends in poison."""

    def __init__(self, seed: int) -> None:
        self.data = bytes(random.Random(seed).choices(range(250), k=1 << 18))

    def at(self, offset: int, length: int) -> bytes:
        start = offset % len(self.data)
        piece = self.data[start : start + length]
        return piece + self.at(offset + len(piece), length - len(piece)) if len(piece) < length else piece


SOURCES = {Kind.OUT: Source(1), Kind.ERR: Source(2)}


class Ledger:
    """What one reader has seen of each stream: every offset is either delivered or in a gap."""

    def __init__(self) -> None:
        self.next_offset = {Kind.OUT: 0, Kind.ERR: 0}
        self.delivered = 0
        self.lost = 0

    def take(self, kind: int, offset: int, data: bytes) -> None:
        kind = Kind(kind)
        gap = offset - self.next_offset[kind]
        assert gap >= 0, "bytes came twice"
        assert data == SOURCES[kind].at(offset, len(data))
        self.lost += gap
        self.delivered += len(data)
        self.next_offset[kind] = offset + len(data)


class Kernel:
    """The other end of the terminal: knows what it has handed over."""

    def __init__(self) -> None:
        self.offset = {Kind.OUT: 0, Kind.ERR: 0}

    def read_into(self, kind: Kind, window: memoryview, most: int) -> int:
        length = min(most, len(window))
        window[:length] = SOURCES[kind].at(self.offset[kind], length)
        self.offset[kind] += length
        return length

    def messages(self, kind: Kind, lengths: list[int]) -> list[bytes]:
        """What comes next in the stream, cut into messages; they are handed over by `give`."""
        ends = accumulate(lengths, initial=self.offset[kind])
        return [SOURCES[kind].at(start, end - start) for start, end in pairwise(ends)]

    def give(self, kind: Kind, messages: list[bytes]) -> None:
        self.offset[kind] += sum(map(len, messages))

    @property
    def total(self) -> int:
        return sum(self.offset.values())


def pump(writer: RingWriter, kernel: Kernel, kind: Kind, most: int) -> bool:
    window = writer.arm(kind, 1 << 16)
    if window is None:
        return False
    writer.commit(kernel.read_into(kind, window, most))
    return True


def put_all(writer: RingWriter, kernel: Kernel, kind: Kind, lengths: list[int]) -> int:
    messages = kernel.messages(kind, lengths)
    count = writer.put_all(kind, messages)
    kernel.give(kind, messages[:count])
    return count


def drain(reader: RingReader, ledger: Ledger, most: int = 1 << 20) -> None:
    while run := reader.next_run(most):
        ledger.take(run.kind, run.offset, bytes(run.view))
        reader.finish(run)


def test_runs_are_the_largest_contiguous_pieces() -> None:
    """A thousand small frames of one stream come as one view."""
    ring = MemoryRing(data_bytes=1 << 20)
    writer, kernel, reader = ring.writer(), Kernel(), ring.reader()
    for _ in range(1000):
        assert pump(writer, kernel, Kind.OUT, 100)
    run = reader.next_run(1 << 20)
    assert run is not None
    assert (run.offset, len(run.view), run.end - run.first) == (0, 100_000, 1000)


def test_a_run_ends_where_the_stream_changes() -> None:
    """stdout, stderr and control frames never share a view."""
    ring = MemoryRing()
    writer, kernel, reader = ring.writer(), Kernel(), ring.reader()
    pump(writer, kernel, Kind.OUT, 10)
    pump(writer, kernel, Kind.ERR, 10)
    for size in (80, 81):
        writer.put(Kind.RESIZE, encode_resize(Resize(size, 24)))
    pump(writer, kernel, Kind.OUT, 10)
    seen = []
    while run := reader.next_run(1 << 20):
        seen.append((run.kind, run.offset, decode_resize(run.view).cols if run.kind == Kind.RESIZE else 0))
        reader.finish(run)
    assert seen == [(1, 0, 0), (2, 0, 0), (5, 10, 80), (5, 10, 81), (1, 10, 0)]


def test_a_block_ring_makes_its_program_wait() -> None:
    """Full and not read: no window; read: a window again, and the waiting writer is woken once."""
    ring = MemoryRing()
    writer, kernel, reader, ledger = ring.writer(), Kernel(), ring.reader(), Ledger()
    while pump(writer, kernel, Kind.OUT, 4096):
        pass
    assert kernel.total >= at.MIN_DATA_BYTES - 4096
    assert writer.prepare_wait()
    drain(reader, ledger)
    assert ring.writer_rings == 1
    assert pump(writer, kernel, Kind.OUT, 4096)
    drain(reader, ledger)
    assert (ledger.delivered, ledger.lost) == (kernel.total, 0)


def test_a_program_held_back_goes_on_once_a_quarter_of_the_ring_was_read() -> None:
    """Not at each run that a reader finishes, and not only when all is read."""
    ring = MemoryRing()
    writer, kernel, reader = ring.writer(), Kernel(), ring.reader()
    while pump(writer, kernel, Kind.OUT, 4096):
        pass
    assert writer.prepare_wait(for_much=True)
    read_bytes = 0
    while not ring.writer_rings:
        run = reader.next_run(4096)
        assert run is not None
        read_bytes += len(run.view)
        reader.finish(run)
    assert at.MIN_DATA_BYTES // 4 - 8192 <= read_bytes <= at.MIN_DATA_BYTES // 4 + 8192
    assert pump(writer, kernel, Kind.OUT, 4096)


@pytest.mark.parametrize("policy", [at.Policy.DROP_OLDEST, at.Policy.DROP_NEWEST])
def test_a_dropping_ring_counts_every_lost_byte(policy: at.Policy) -> None:
    """The program never waits, and delivered + lost is what it wrote."""
    ring = MemoryRing(policy=policy)
    writer, kernel, reader, ledger = ring.writer(), Kernel(), ring.reader(), Ledger()
    for _ in range(100):
        assert pump(writer, kernel, Kind.OUT, 4096)
    drain(reader, ledger)
    assert pump(writer, kernel, Kind.OUT, 10)
    drain(reader, ledger)
    assert ledger.lost > 0
    assert ledger.delivered + ledger.lost == kernel.total
    newest_lost = policy == at.Policy.DROP_NEWEST
    assert (writer.lost_bytes == ledger.lost) == newest_lost


def test_a_stalled_block_ring_drops_its_oldest_and_recovers() -> None:
    """With `stalled` set the program runs on; what the reader finds when it comes back is the newest."""
    ring = MemoryRing()
    writer, kernel, reader, ledger = ring.writer(), Kernel(), ring.reader(), Ledger()
    while pump(writer, kernel, Kind.OUT, 4096):
        pass
    writer.stalled = True
    for _ in range(50):
        assert pump(writer, kernel, Kind.OUT, 4096)
    writer.stalled = False
    drain(reader, ledger)
    assert ledger.next_offset[Kind.OUT] == kernel.total
    assert ledger.delivered + ledger.lost == kernel.total
    assert ledger.lost > 0


def test_a_pinned_run_is_never_overwritten() -> None:
    """A reader that hangs with a run in its hands keeps it whole while the ring drops for it."""
    ring = MemoryRing(policy=at.Policy.DROP_OLDEST)
    writer, kernel, reader, ledger = ring.writer(), Kernel(), ring.reader(), Ledger()
    for _ in range(4):
        pump(writer, kernel, Kind.OUT, 4096)
    run = reader.next_run(1 << 20)
    assert run is not None
    for _ in range(100):
        assert pump(writer, kernel, Kind.OUT, 4096)
    ledger.take(run.kind, run.offset, bytes(run.view))
    reader.finish(run)
    drain(reader, ledger)
    pump(writer, kernel, Kind.OUT, 1)
    drain(reader, ledger)
    assert ledger.delivered + ledger.lost == kernel.total


def test_a_follower_is_told_that_it_was_lapped() -> None:
    """A reader with a cursor of its own holds nobody back, and sees the gap."""
    ring = MemoryRing(gating=True)
    writer, kernel, reader, ledger = ring.writer(), Kernel(), ring.reader(), Ledger()
    follower = ring.follower()
    for _ in range(50):
        pump(writer, kernel, Kind.OUT, 4096)
        drain(reader, ledger)
    first = follower.next_copy(0, 1 << 20)
    assert isinstance(first, Lapped)
    seen, cursor = Ledger(), first.oldest
    while isinstance(copied := follower.next_copy(cursor, 1 << 20), Copied):
        seen.take(copied.run.kind, copied.run.offset, copied.data)
        cursor = copied.run.end
    assert seen.delivered + seen.lost == kernel.total
    assert seen.lost > 0


def test_a_foreign_version_is_refused_with_a_clear_message() -> None:
    ring = MemoryRing()
    ring.named.cast("Q")[at.W_VERSION] = 99 | at.HEADER_BYTES << 32
    with pytest.raises(RingVersion, match="version 99, this is version 1"):
        RingMemory(ring.named)


@pytest.mark.parametrize(
    ("word", "value"),
    [(at.W_MAGIC, 7), (at.W_DATA_BYTES, 12345), (at.W_DATA_BYTES, 1 << 40), (at.W_SLOTS, 3), (at.W_OLDEST, 5)],
)
def test_a_corrupt_header_is_refused(word: int, value: int) -> None:
    ring = MemoryRing()
    ring.named.cast("Q")[word] = value
    with pytest.raises(RingCorrupt):
        RingMemory(ring.named)


@pytest.mark.parametrize("start", [0, 2**63 - 5, 2**62])
def test_counters_may_stand_anywhere(start: int) -> None:
    """Frame numbers are 64 bits wide and nothing depends on where they began."""
    ring = MemoryRing()
    words = ring.named.cast("Q")
    for word in (at.W_COMMIT, at.W_OLDEST, at.W_BASE_FRAME, at.reader_word(0, at.R_CURSOR)):
        words[word] = start
    writer, kernel, reader, ledger = ring.writer(), Kernel(), ring.reader(), Ledger()
    for _ in range(100):
        assert pump(writer, kernel, Kind.OUT, 3000)
        drain(reader, ledger)
    assert ledger.delivered == kernel.total


BATCHES = st.one_of(
    st.lists(st.sampled_from([0, 1, 16, 100, 5000]), max_size=100),
    st.tuples(st.sampled_from([1, 16, 64, 1024, 30000]), st.sampled_from([1, 2, 64, 300])).map(lambda b: [b[0]] * b[1]),
)
OPERATIONS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from([Kind.OUT, Kind.ERR]), st.sampled_from([1, 7, 100, 4095, 4096, 60000])),
    st.tuples(st.just("put"), st.sampled_from([Kind.OUT, Kind.ERR]), st.sampled_from([0, 1, 100, 4096, 20000])),
    st.tuples(st.just("put all"), st.sampled_from([Kind.OUT, Kind.ERR]), BATCHES),
    st.tuples(st.just("kill in put all"), st.integers(0, 8), BATCHES),
    st.tuples(st.just("read"), st.sampled_from([1, 5000, 1 << 20]), st.integers(1, 6)),
    st.tuples(st.just("kill writer"), st.integers(0, 14), st.integers(1, 5000)),
    st.tuples(st.just("kill reader"), st.booleans(), st.booleans()),
    st.tuples(st.just("shrink"), st.just(0), st.just(0)),
    st.tuples(st.just("stall"), st.booleans(), st.just(0)),
    st.tuples(st.just("follow"), st.integers(1, 9), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(
    policy=st.sampled_from(list(at.Policy)),
    grows=st.booleans(),
    operations=st.lists(OPERATIONS, min_size=20, max_size=120),
)
def test_any_history_balances(policy: at.Policy, grows: bool, operations: list[tuple]) -> None:  # noqa: FBT001
    """Any interleaving of writes, reads, kills, growth, shrinking and stalls: delivered + gaps = written, in order."""
    ring = MemoryRing(policy=policy, most_bytes=1 << 20 if grows else None)
    writer, kernel, reader, ledger = ring.writer(), Kernel(), ring.reader(), Ledger()
    follower, seen, place = ring.follower(), Ledger(), 0
    for name, first, second in operations:
        match name:
            case "write":
                pump(writer, kernel, first, second)
            case "put":
                put(writer, kernel, first, second)
            case "put all":
                put_all(writer, kernel, first, second)
            case "kill in put all":
                messages = kernel.messages(Kind.OUT, second)
                ring.fate.stores_left = first
                with contextlib.suppress(Killed):
                    writer.put_all(Kind.OUT, messages)
                ring.fate.stores_left = -1
                writer = ring.writer()
                kernel.give(Kind.OUT, whole_messages(messages, writer.out_offset - kernel.offset[Kind.OUT]))
            case "read":
                for _ in range(second):
                    if run := reader.next_run(first):
                        ledger.take(run.kind, run.offset, bytes(run.view))
                        reader.finish(run)
            case "kill writer":
                ring.fate.stores_left = first
                with contextlib.suppress(Killed):
                    pump(writer, kernel, Kind.OUT, second)
                ring.fate.stores_left = -1
                writer = ring.writer()
            case "kill reader":
                if first:
                    reader.next_run(1 << 20)
                reader = ring.reader()
            case "shrink":
                if writer.is_idle() and writer.memory.data_bytes > at.MIN_DATA_BYTES:
                    writer.resize(at.MIN_DATA_BYTES)
            case "stall":
                writer.stalled = first
            case "follow":
                for _ in range(first):
                    match follower.next_copy(place, 5000):
                        case Copied(run, data):
                            seen.take(run.kind, run.offset, data)
                            place = run.end
                        case Lapped(oldest):
                            place = oldest
    writer = ring.writer()
    drain(reader, ledger)
    assert ledger.delivered + ledger.lost + _unseen_tail(writer, ledger) == kernel.total
    assert {Kind.OUT: writer.out_offset, Kind.ERR: writer.err_offset} == kernel.offset
    if policy == at.Policy.BLOCK and not any(op[0] == "stall" and op[1] for op in operations):
        assert ledger.lost == 0


def put(writer: RingWriter, kernel: Kernel, kind: Kind, length: int) -> None:
    (message,) = kernel.messages(kind, [length])
    if writer.put(kind, message):
        kernel.give(kind, [message])


def whole_messages(messages: list[bytes], size: int) -> list[bytes]:
    """The first of them that have this size together."""
    ends = list(accumulate(map(len, messages), initial=0))
    assert size in ends, "half a message"
    return messages[: ends.index(size)]


def _unseen_tail(writer: RingWriter, ledger: Ledger) -> int:
    """Dropped behind the last frame: the next frame will show it."""
    return writer.out_offset - ledger.next_offset[Kind.OUT] + writer.err_offset - ledger.next_offset[Kind.ERR]


def frames(reader: RingReader) -> list[bytes]:
    found: list[bytes] = []
    while run := reader.next_run(1 << 20):
        found += map(bytes, reader.frames(run))
        reader.finish(run)
    return found


@pytest.mark.parametrize("lengths", [[16] * 64, [1, 0, 300, 7, 0], [5000] * 3, [9]])
def test_messages_put_together_come_one_by_one(lengths: list[int]) -> None:
    """Each is a frame: its own bytes, its own place in the stream, a seq for each; lap after lap."""
    ring = MemoryRing()
    writer, kernel, reader = ring.writer(), Kernel(), ring.reader()
    sent, taken = 0, 0
    while kernel.total < 5 * at.MIN_DATA_BYTES:
        messages = kernel.messages(Kind.OUT, lengths)
        assert put_all(writer, kernel, Kind.OUT, lengths) == len(messages)
        sent += len(messages)
        memory = writer.memory
        described = [memory.descriptor(frame) for frame in range(sent - len(messages), sent)]
        assert [one.seq for one in described] == list(range(sent - len(messages), sent))
        assert [one.length for one in described] == lengths
        assert [one.offset for one in described] == list(accumulate(lengths, initial=taken))[:-1]
        assert {(one.kind, one.flags, one.other_offset, one.zero) for one in described} == {(Kind.OUT, 0, 0, 0)}
        assert all((one.pos & memory.data_mask) + one.length <= memory.data_bytes for one in described)
        taken = kernel.total
        assert frames(reader) == messages


def test_messages_that_do_not_fit_are_left() -> None:
    """As many as there is room for: the others may be put once somebody has read."""
    ring = MemoryRing()
    writer, kernel, reader = ring.writer(), Kernel(), ring.reader()
    messages = kernel.messages(Kind.OUT, [1000] * 100)
    first = writer.put_all(Kind.OUT, messages)
    assert first == at.MIN_DATA_BYTES // 1000
    assert writer.put_all(Kind.OUT, messages[first:]) == 0
    assert frames(reader) == messages[:first]
    assert writer.put_all(Kind.OUT, messages[first:]) == 100 - first
    assert frames(reader) == messages[first:]


def test_an_empty_message_needs_its_descriptor_too() -> None:
    """Without one left it waits, as any other does."""
    ring = MemoryRing()
    writer = ring.writer()
    slots = writer.memory.slots
    assert writer.put_all(Kind.OUT, [b""] * (slots + 1)) == slots
    assert not writer.put(Kind.OUT, b"")
    assert writer.put_all(Kind.OUT, [b""]) == 0


def test_put_together_they_cost_one_look_at_the_sleepers() -> None:
    ring = MemoryRing()
    writer = ring.writer()
    ring.rings.clear()
    ring.board[sleeping_word(1)] = 1
    assert writer.put_all(Kind.OUT, [b"x"] * 64) == 64
    assert ring.rings == [1]


def test_only_streams_carry_messages() -> None:
    """Control frames stand alone in their run."""
    with pytest.raises(ValueError, match="are no stream"):
        MemoryRing().writer().put_all(Kind.RESIZE, [b"1234"])


@pytest.mark.parametrize("policy", list(at.Policy))
@pytest.mark.parametrize("stores", range(60))
def test_a_writer_killed_before_any_store_loses_nothing(policy: at.Policy, stores: int) -> None:
    """Every store to a shared word is a place to die, growth included; the successor balances the books."""
    ring = MemoryRing(policy=policy, most_bytes=1 << 18)
    writer, kernel, reader, ledger = ring.writer(), Kernel(), ring.reader(), Ledger()
    for _ in range(14):
        pump(writer, kernel, Kind.OUT, 4096)
    ring.fate.stores_left = stores
    with contextlib.suppress(Killed):
        for _ in range(4):
            pump(writer, kernel, Kind.OUT, 4096)
    ring.fate.stores_left = -1
    writer = ring.writer()
    assert writer.out_offset == kernel.total
    drain(reader, ledger)
    pump(writer, kernel, Kind.OUT, 100)
    drain(reader, ledger)
    assert (ledger.delivered, ledger.lost) == (kernel.total, 0)


@pytest.mark.parametrize("stores", range(6))
def test_a_control_frame_is_never_taken_for_output(stores: int) -> None:
    """A writer that was armed, read nothing and died while it wrote a control frame leaves no bytes to salvage."""
    ring = MemoryRing()
    writer, kernel, reader, ledger = ring.writer(), Kernel(), ring.reader(), Ledger()
    pump(writer, kernel, Kind.OUT, 10)
    assert writer.arm(Kind.OUT, 4096) is not None
    ring.fate.stores_left = stores
    with contextlib.suppress(Killed):
        writer.put(Kind.RESIZE, encode_resize(Resize(80, 24)))
    ring.fate.stores_left = -1
    writer = ring.writer()
    assert writer.out_offset == kernel.total
    pump(writer, kernel, Kind.OUT, 10)
    while run := reader.next_run(1 << 20):
        if run.kind == Kind.OUT:
            ledger.take(run.kind, run.offset, bytes(run.view))
        reader.finish(run)
    assert (ledger.delivered, ledger.lost) == (kernel.total, 0)


def test_a_follower_finds_any_place_of_the_stream() -> None:
    """Whatever offset is sought, the frame found holds it or is the first behind it, over epochs and other frames."""
    ring = MemoryRing(data_bytes=1 << 20)
    writer, kernel = ring.writer(), Kernel()
    follower = ring.follower()
    for epoch in (1, 2, 3):
        writer.begin_epoch(epoch, b"1234")
        for _ in range(20):
            pump(writer, kernel, Kind.OUT, 100)
            pump(writer, kernel, Kind.ERR, 7)
    assert follower.standing() == (3, 2000)
    for epoch in (1, 2, 3):
        for offset in (0, 1, 99, 100, 101, 1999):
            copied = follower.next_copy(follower.seek(epoch, offset), 1)
            assert isinstance(copied, Copied)
            run = copied.run
            assert run.epoch == epoch
            if run.kind == Kind.OUT:
                assert run.offset <= offset < run.offset + len(copied.data)
            else:
                assert (run.other_offset if run.kind == Kind.ERR else run.offset) == offset
    assert follower.seek(3, 2000) >= follower.newest - 1
