"""Both ends of a real ring, in processes of their own, with SIGKILL at random moments; and who wakes whom then."""

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ipc import ring_layout as at
from ipc.board import mirror_word, sleeping_word
from ipc.board_watch import BoardWatch
from ipc.errors import RingCorrupt
from ipc.frames import Kind
from ipc.ring_attach import attach_follower, attach_reader, attach_writer
from ipc.ring_dir import create_ring_dir, open_board, open_reader_bell, open_writer_bell
from ipc.ring_file import create_ring, open_following, open_ring, ring_path
from ipc.ring_reader import Copied
from ipc.ring_spec import RingSpec
from tests.chaos.ring_storm import Storm, run

KILLS = int(os.environ.get("RINGVISOR_KILLS", "60"))
SEED = int(os.environ.get("RINGVISOR_SEED", "0")) or int.from_bytes(os.urandom(4))
OUT = int(Kind.OUT)
PATIENCE_S = 20


@pytest.mark.slow
@pytest.mark.parametrize("policy", list(at.Policy))
def test_every_byte_survives_a_kill_storm(shm_dir: str, policy: at.Policy) -> None:
    """Writer and reader killed again and again under full load: every byte is in its place or in a counted gap."""
    outcome = run(Storm(shm_dir, policy, SEED, KILLS))
    print(f"seed {SEED}: {outcome}")
    assert outcome.written_bytes > 0
    assert min(outcome.writers, outcome.readers) > KILLS


@contextmanager
def forked(body: Callable[[], None]) -> Iterator[int]:
    """A child that is killed and reaped afterwards, whatever it does."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def kill_when_it_says_so(body: Callable[[Callable[[], None]], None]) -> None:
    """Runs a child until it calls `here`, and kills it there."""
    reading, writing = os.pipe()

    def here() -> None:
        os.write(writing, b"x")
        signal.pause()

    with forked(lambda: body(here)):
        assert os.read(reading, 1) == b"x"
    os.close(reading)
    os.close(writing)


@pytest.fixture
def ring_dir(shm_dir: str) -> str:
    create_ring_dir(shm_dir)
    return shm_dir


def rung(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def fill(ring_dir: str) -> int:
    """A writer's ring until nothing fits; how many frames that were."""
    writer, frames = attach_writer(ring_dir, "s", 0), 0
    while writer.put(OUT, bytes(4096)):
        frames += 1
    return frames


def test_a_writer_that_waits_is_woken_by_whoever_comes_after_a_killed_reader(ring_dir: str) -> None:
    """A reader made room, found the writer waiting, and died before it rang: the next one rings."""
    create_ring(ring_dir, "s", RingSpec(0, max_bytes=at.MIN_DATA_BYTES))
    fill(ring_dir)
    writer = attach_writer(ring_dir, "s", 0)
    bell = open_writer_bell(ring_dir, "s")
    assert writer.prepare_wait()

    def read_one(here: Callable[[], None]) -> None:
        reader = attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)
        reader._ring_writer = here
        one = reader.next_run(1 << 20)
        assert one is not None
        reader.finish(one)

    kill_when_it_says_so(read_one)
    bell.hush()
    attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)
    assert rung(bell.fd)
    bell.close()


def test_a_writer_that_died_before_it_rang_is_made_up_for(ring_dir: str) -> None:
    """It had committed, and cleared the flag of the sleeping reader: the next writer stores the mirror and rings."""
    create_ring(ring_dir, "s", RingSpec(7))
    board, bell = open_board(ring_dir), open_reader_bell(ring_dir, 1)
    board[sleeping_word(1)] = 1

    def commit(here: Callable[[], None]) -> None:
        writer = attach_writer(ring_dir, "s", 7)
        bell.hush()
        writer._head._ring_bell = lambda _: here()
        writer.put(OUT, b"x")

    kill_when_it_says_so(commit)
    assert not rung(bell.fd)
    assert board[sleeping_word(1)] == 0
    board[mirror_word(7)] = 0
    writer = attach_writer(ring_dir, "s", 7)
    assert rung(bell.fd)
    assert board[mirror_word(7)] == writer.memory.q[at.W_COMMIT] == 1
    bell.close()


class Recorded:
    """Words that write down the order in which they are stored to and looked at."""

    def __init__(self, words: memoryview, names: dict[int, str], record: list[str]) -> None:
        self._words, self._names, self._record = words, names, record

    def __getitem__(self, word: int) -> int:
        if word in self._names:
            self._record.append(f"look at {self._names[word]}")
        return self._words[word]

    def __setitem__(self, word: int, value: int) -> None:
        if word in self._names:
            self._record.append(self._names[word])
        self._words[word] = value


def test_the_real_writer_stores_in_the_order_that_was_explored(ring_dir: str) -> None:
    """ARMED after its bytes, COMMIT, then the mirror, then the look at who reads and who sleeps: once for a batch."""
    create_ring(ring_dir, "s", RingSpec(7))
    writer, record = attach_writer(ring_dir, "s", 7), []
    words = {at.W_COMMIT: "COMMIT", at.W_ARMED: "ARMED", at.W_ARMED_BYTES: "ARMED_BYTES", at.W_READERS_STAMP: "STAMP"}
    writer.memory.q = Recorded(writer.memory.q, words, record)
    head = writer._head
    head._board = Recorded(head._board, {mirror_word(7): "MIRROR", sleeping_word(1): "SLEEPING"}, record)
    window = writer.arm(OUT, 4096)
    assert window is not None
    assert bytes(window) == bytes([at.POISON]) * 4096
    window[:1] = b"x"
    writer.commit(1)
    told = ["COMMIT", "MIRROR", "look at STAMP", "look at SLEEPING"]
    assert record == ["ARMED_BYTES", "ARMED", *told]
    record.clear()
    assert writer.put_all(OUT, [b"a", b"b", b"c"]) == 3
    assert record == ["ARMED", *told]


def test_letting_go_of_a_pin_wakes_the_writer(ring_dir: str) -> None:
    """A reader that is not waited for may still hold the room: with its pin."""
    create_ring(ring_dir, "s", RingSpec(0, max_bytes=at.MIN_DATA_BYTES, gating_log=False))
    reader = attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=False)
    writer = attach_writer(ring_dir, "s", 0)
    assert writer.put(OUT, bytes(4096))
    assert reader.next_run(1 << 20) is not None
    while writer.put(OUT, bytes(4096)):
        pass
    bell = open_writer_bell(ring_dir, "s")
    assert writer.prepare_wait()
    reader.unpin()
    assert rung(bell.fd)
    writer.end_wait()
    assert writer.put(OUT, bytes(4096))
    bell.close()


def test_a_new_writer_forgets_that_the_old_one_waited(ring_dir: str) -> None:
    """Or every reader would ring for it for ever."""
    create_ring(ring_dir, "s", RingSpec(0, max_bytes=at.MIN_DATA_BYTES))
    fill(ring_dir)

    def wait(here: Callable[[], None]) -> None:
        assert attach_writer(ring_dir, "s", 0).prepare_wait()
        here()

    kill_when_it_says_so(wait)
    assert open_ring(ring_dir, "s").q[at.W_WAITING] == 1
    assert attach_writer(ring_dir, "s", 0).memory.q[at.W_WAITING] == 0


def move_and_die(ring_dir: str, step: str) -> None:
    """A writer that grows its ring and is killed before `step`, which is a function that its move calls."""

    def grow(here: Callable[[], None]) -> None:
        import ipc.ring_file as moving  # noqa: PLC0415 - patched in the child only

        writer = attach_writer(ring_dir, "s", 0)
        for _ in range(4):
            writer.put(OUT, b"x" * 4096)
        if step == "rename":
            moving.os.rename = lambda *_: here()
        else:
            setattr(moving, step, lambda *_: here())
        writer.resize(1 << 18)

    kill_when_it_says_so(grow)


@pytest.mark.parametrize("step", ["_map", "carry_readers", "rename"])
def test_a_reader_goes_on_though_the_move_of_its_ring_was_never_finished(ring_dir: str, step: str) -> None:
    """From the announcement on it reads in the new file, wherever that stands; the next writer finishes the move."""
    create_ring(ring_dir, "s", RingSpec(0))
    reader = attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)
    move_and_die(ring_dir, step)
    one = reader.next_run(1 << 20)
    assert one is not None
    assert len(one.view) == 4 * 4096
    assert reader.memory.generation == (1 if step == "_map" else 2)
    reader.finish(one)
    writer = attach_writer(ring_dir, "s", 0)
    assert writer.memory.generation == reader.memory.generation
    assert writer.put(OUT, b"more")
    more = reader.next_run(1 << 20)
    assert more is not None
    assert bytes(more.view) == b"more"


def test_a_reader_that_comes_while_a_ring_moves_is_carried_over(ring_dir: str) -> None:
    """It attached by the old name after its words had been copied, read to the end and fell asleep: it is woken."""
    create_ring(ring_dir, "s", RingSpec(0, has_log=False))
    writer = attach_writer(ring_dir, "s", 0)
    assert writer.put(OUT, b"old")
    bell, board = open_reader_bell(ring_dir, 5), open_board(ring_dir)
    watch = BoardWatch(board, 5)
    grow = writer._resize

    def come_late(old: at.Policy, size: int) -> object:
        import ipc.ring_file as moving  # noqa: PLC0415 - put back below

        filled = moving.transplant

        def transplant(*args: object) -> None:
            filled(*args)
            reader = attach_reader(ring_dir, "s", at.ReaderSlot.TYPED, bell=5, gating=True)
            one = reader.next_run(100)
            assert one is not None
            reader.finish(one)
            assert reader.next_run(100) is None
            watch.watch(0)
            watch.dirty()
            watch.done(0)
            assert watch.prepare_sleep()

        moving.transplant = transplant
        try:
            return grow(old, size)
        finally:
            moving.transplant = filled

    writer._resize = come_late
    assert writer.resize(1 << 18)
    assert writer.put(OUT, b"new")
    assert rung(bell.fd)
    assert board[sleeping_word(5)] == 0
    bell.close()


def test_a_follower_that_comes_while_a_ring_moves_is_carried_over(ring_dir: str) -> None:
    """The live bell is rung for somebody who subscribed between the copy and the announcement."""
    create_ring(ring_dir, "s", RingSpec(0))
    writer = attach_writer(ring_dir, "s", 0)
    grow = writer._resize

    def subscribe_late(old: object, size: int) -> object:
        import ipc.ring_file as moving  # noqa: PLC0415 - put back below

        filled = moving.transplant

        def transplant(*args: object) -> None:
            filled(*args)
            attach_follower(ring_dir, "s")

        moving.transplant = transplant
        try:
            return grow(old, size)
        finally:
            moving.transplant = filled

    writer._resize = subscribe_late
    assert writer.resize(1 << 18)
    board, bell = open_board(ring_dir), open_reader_bell(ring_dir, 0)
    board[sleeping_word(0)] = 1
    assert writer.put(OUT, b"new")
    assert rung(bell.fd)
    bell.close()


def test_who_leaves_while_a_ring_moves_is_not_waited_for(ring_dir: str) -> None:
    """The slot is given up in the new ring too, whichever of the two its reader still had."""
    create_ring(ring_dir, "s", RingSpec(0))
    reader = attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)
    move_and_die(ring_dir, "rename")
    reader.detach()
    writer = attach_writer(ring_dir, "s", 0)
    assert writer.memory.generation == 2
    assert writer.slowest_gate() is None


def test_a_pin_that_came_too_late_does_not_corrupt_a_ring(ring_dir: str) -> None:
    """Its reader was killed before it noticed; the next writer passes it over."""
    create_ring(ring_dir, "s", RingSpec(0, max_bytes=at.MIN_DATA_BYTES, policy=at.Policy.DROP_OLDEST))
    writer = attach_writer(ring_dir, "s", 0)
    for _ in range(100):
        assert writer.put(OUT, bytes(4096))
    del writer
    open_ring(ring_dir, "s").q[at.reader_word(at.ReaderSlot.LOG, at.R_PIN)] = 1
    successor = attach_writer(ring_dir, "s", 0)
    for _ in range(100):
        assert successor.put(OUT, bytes(4096))


def test_a_pin_that_was_in_time_binds_the_next_writer(ring_dir: str) -> None:
    """The reader still has the frame in its hands, whoever writes."""
    create_ring(ring_dir, "s", RingSpec(0, max_bytes=at.MIN_DATA_BYTES, policy=at.Policy.DROP_OLDEST))
    reader = attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)

    def write(here: Callable[[], None]) -> None:
        writer = attach_writer(ring_dir, "s", 0)
        writer.put(OUT, b"a" * 4096)
        here()

    kill_when_it_says_so(write)
    one = reader.next_run(1 << 20)
    assert one is not None
    for _ in range(2):
        writer = attach_writer(ring_dir, "s", 0)
        for _ in range(20):
            writer.put(OUT, b"b" * 4096)
        del writer
    assert bytes(one.view) == b"a" * 4096


def test_an_unseen_reader_is_seen_at_the_next_frame(ring_dir: str) -> None:
    """Until then each of its pins costs it a barrier."""
    create_ring(ring_dir, "s", RingSpec(0, has_log=False))
    writer = attach_writer(ring_dir, "s", 0)
    q = attach_reader(ring_dir, "s", at.ReaderSlot.SPARE, bell=2, gating=False).memory.q
    assert q[at.W_READERS_SEEN] != q[at.W_READERS_STAMP]
    writer.put(OUT, b"x")
    assert q[at.W_READERS_SEEN] == q[at.W_READERS_STAMP]


def test_a_follower_changes_over_to_a_smaller_ring(ring_dir: str) -> None:
    """Shrinking packs what fits; a cursor of one's own stays good."""
    create_ring(ring_dir, "s", RingSpec(0, has_log=False))
    writer = attach_writer(ring_dir, "s", 0)
    assert writer.resize(1 << 18)
    follower = attach_follower(ring_dir, "s")
    for number in range(3):
        writer.put(OUT, bytes([number]) * 100)
    assert writer.resize(at.MIN_DATA_BYTES)
    seen = []
    for cursor in range(3):
        copied = follower.next_copy(cursor, 1)
        assert isinstance(copied, Copied)
        seen.append(copied.data[0])
    assert seen == [0, 1, 2]


def test_a_ring_that_is_gone_is_said_to_be_gone(ring_dir: str) -> None:
    """A reader that follows into nothing gets an error of the ring, not of the file system."""
    create_ring(ring_dir, "s", RingSpec(0))
    reader = attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)
    reader.memory.q[at.W_NEXT_GENERATION] = 2
    os.unlink(ring_path(ring_dir, "s"))
    with pytest.raises(RingCorrupt, match=r"is gone, or its generation 2"):
        reader.next_run(1)
    with pytest.raises(RingCorrupt):
        open_following(ring_dir, "s", 1)
