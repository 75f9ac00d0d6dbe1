"""A ring of the layout before ours: read as it is, and moved to ours by the next writer, with all that it holds."""

import pytest

from ipc import ring_layout as at
from ipc.errors import RingVersion
from ipc.frames import Kind
from ipc.ring_attach import attach_follower, attach_reader, attach_writer
from ipc.ring_dir import create_ring_dir
from ipc.ring_file import create_ring, open_ring
from ipc.ring_reader import RingReader
from ipc.ring_spec import RingSpec

OUT = int(Kind.OUT)


@pytest.fixture
def ring_dir(shm_dir: str) -> str:
    create_ring_dir(shm_dir)
    create_ring(shm_dir, "s", RingSpec(0, max_bytes=at.MIN_DATA_BYTES))
    return shm_dir


def drain(reader: RingReader) -> bytes:
    taken = b""
    while run := reader.next_run(1 << 20):
        taken += bytes(run.view)
        reader.finish(run)
    return taken


def test_the_next_writer_moves_it(ring_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stood there unread, and what comes after, reaches a reader of the old layout's time, one that comes in
    between, and a follower, once and in order; offsets go on. It is done once."""
    old = attach_writer(ring_dir, "s", 0)
    old.put(OUT, b"read ")
    reader = attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)
    assert drain(reader) == b"read "
    for number in range(200):
        old.put(OUT, b"%03d " % number)
    del old
    monkeypatch.setattr(at, "VERSION", 2)
    follower = attach_follower(ring_dir, "s")
    assert follower.memory.version == 1
    new = attach_writer(ring_dir, "s", 0)
    new.put(OUT, b"new")
    assert (open_ring(ring_dir, "s").version, open_ring(ring_dir, "s").generation) == (2, 2)
    assert new.out_offset == 5 + 200 * 4 + 3
    assert drain(reader) == b"".join(b"%03d " % number for number in range(200)) + b"new"
    assert new.lost_bytes == 0
    del new
    again = attach_writer(ring_dir, "s", 0)
    assert (open_ring(ring_dir, "s").generation, again.out_offset) == (2, 5 + 200 * 4 + 3)


def test_a_full_ring_is_moved_whole(ring_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same size, with every frame at its place."""
    old = attach_writer(ring_dir, "s", 0)
    reader = attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)
    written = b""
    for round_number in range(3):
        while old.put(OUT, piece := b"%06d" % len(written) * 700):
            written += piece
        if round_number < 2:
            assert len(drain(reader)) > 0
    del old
    monkeypatch.setattr(at, "VERSION", 2)
    new = attach_writer(ring_dir, "s", 0)
    assert open_ring(ring_dir, "s").version == 2
    rest = drain(reader)
    assert written.endswith(rest)
    assert len(rest) > at.MIN_DATA_BYTES // 2
    assert new.put(OUT, b"there is room again")
    assert drain(reader) == b"there is room again"


def test_where_memory_is_refused_it_stays_and_is_understood(ring_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session goes on in the ring that it has."""
    attach_writer(ring_dir, "s", 0).put(OUT, b"old ")
    monkeypatch.setattr(at, "VERSION", 2)
    monkeypatch.setattr("ipc.ring_file._allocate", _no_room)
    new = attach_writer(ring_dir, "s", 0)
    assert new.put(OUT, b"new")
    assert open_ring(ring_dir, "s").version == 1
    reader = attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)
    assert drain(reader) == b"old new"


def _no_room(*_: object) -> int:
    raise OSError


def test_what_is_older_is_refused(ring_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both versions named."""
    monkeypatch.setattr(at, "VERSION", 3)
    monkeypatch.setattr(at, "OLDEST", 2)
    with pytest.raises(RingVersion, match="version 1, this is version 3"):
        attach_writer(ring_dir, "s", 0)
