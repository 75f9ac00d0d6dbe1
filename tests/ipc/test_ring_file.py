"""Rings as files: no room, a cap, a second writer, other versions, damage, leftovers, and whose directory it is."""

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc import ring_layout as at
from ipc.caps import Cap, write_cap
from ipc.errors import RingBusy, RingCorrupt, RingMemory, RingVersion
from ipc.frames import Kind
from ipc.ring_attach import attach_reader, attach_writer
from ipc.ring_dir import create_ring_dir, open_board
from ipc.ring_file import create_ring, open_ring, remove_ring, ring_path, rings_bytes
from ipc.ring_reader import RingReader
from ipc.ring_spec import RingSpec
from ipc.ring_writer import RingWriter

OUT = int(Kind.OUT)
CHUNK = b"x" * 4096
SMALLEST_BYTES = at.segment_bytes(at.MIN_DATA_BYTES)


@pytest.fixture
def ring_dir(shm_dir: str) -> str:
    create_ring_dir(shm_dir)
    return shm_dir


@pytest.fixture
def tiny_dir(shm_dir: str) -> Iterator[str]:
    """On a tmpfs of half a megabyte, of which the board takes the larger part."""
    path = f"{shm_dir}/tiny"
    os.mkdir(path, 0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "tmpfs", path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        create_ring_dir(path)
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def fill(writer: RingWriter) -> int:
    frames = 0
    while writer.put(OUT, CHUNK):
        frames += 1
    return frames


def drain(reader: RingReader) -> int:
    taken = 0
    while run := reader.next_run(1 << 20):
        taken += len(run.view)
        reader.finish(run)
    return taken


def test_a_ring_for_which_there_is_no_room_is_refused_with_advice(tiny_dir: str) -> None:
    """ENOSPC when it is made, never SIGBUS when it is used; and nothing of it stays."""
    with pytest.raises(
        RingMemory, match=r"no room for a ring of \d+ bytes in .*/tiny: enlarge that tmpfs or lower ring"
    ):
        create_ring(tiny_dir, "s", RingSpec(0, size_bytes=1 << 20))
    assert not [name for name in os.listdir(tiny_dir) if ".ring" in name]


def test_a_ring_that_cannot_grow_goes_on_as_it_is(tiny_dir: str) -> None:
    """A full tmpfs is a full ring: the program waits, nothing is lost, nobody is killed."""
    create_ring(tiny_dir, "s", RingSpec(0, max_bytes=1 << 20))
    writer = attach_writer(tiny_dir, "s", 0)
    reader = attach_reader(tiny_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)
    with open(f"{tiny_dir}/ballast", "wb") as ballast:
        room = os.statvfs(tiny_dir)
        os.posix_fallocate(ballast.fileno(), 0, room.f_bavail * room.f_bsize)
    written = sum(fill(writer) * len(CHUNK) for _ in range(2))
    taken = drain(reader)
    written += fill(writer) * len(CHUNK)
    assert taken + drain(reader) == written
    assert (writer.memory.data_bytes, writer.memory.q[at.W_RESIZES]) == (at.MIN_DATA_BYTES, 0)
    assert not os.path.exists(ring_path(tiny_dir, "s") + ".next")


def test_growth_stops_at_the_cap_and_the_ring_goes_on(ring_dir: str) -> None:
    """All rings together stay under the cap of the fleet; what was being prepared is removed again."""
    for session in ("s", "other"):
        create_ring(ring_dir, session, RingSpec(0, max_bytes=1 << 20))
    cap_bytes = 3 * at.segment_bytes(1 << 18)
    writer = attach_writer(ring_dir, "s", 0)
    write_cap(ring_dir, Cap.RINGS, cap_bytes)
    reader = attach_reader(ring_dir, "s", at.ReaderSlot.LOG, bell=1, gating=True)
    written = fill(writer) * len(CHUNK)
    assert writer.memory.data_bytes == 1 << 18
    assert rings_bytes(ring_dir) <= cap_bytes
    assert not os.path.exists(ring_path(ring_dir, "s") + ".next")
    taken = drain(reader)
    written += fill(writer) * len(CHUNK)
    assert taken + drain(reader) == written


def test_a_ring_beyond_the_cap_is_not_made(ring_dir: str) -> None:
    """The error says which number to change; nothing of the ring stays, and below the cap there is room again."""
    write_cap(ring_dir, Cap.RINGS, 2 * SMALLEST_BYTES)
    for session in ("a", "b"):
        create_ring(ring_dir, session, RingSpec(0))
    with pytest.raises(RingMemory, match=rf"beyond {2 * SMALLEST_BYTES} bytes: raise fleet.ring_memory or"):
        create_ring(ring_dir, "c", RingSpec(0))
    assert rings_bytes(ring_dir) == 2 * SMALLEST_BYTES
    remove_ring(ring_dir, "a")
    create_ring(ring_dir, "c", RingSpec(0))


def test_refused_growth_is_not_tried_again_at_each_chunk(ring_dir: str) -> None:
    """One attempt, then none for a second: a full ring does not spend its time on allocating what it will not get."""
    create_ring(ring_dir, "s", RingSpec(0, max_bytes=1 << 20))
    write_cap(ring_dir, Cap.RINGS, SMALLEST_BYTES)
    writer = attach_writer(ring_dir, "s", 0)
    attempts, resize = [], writer._resize

    def counted(memory: object, data_bytes: int) -> object:
        attempts.append(data_bytes)
        return resize(memory, data_bytes)

    writer._resize = counted
    fill(writer)
    assert all(writer.arm(OUT, 4096) is None for _ in range(100))
    assert attempts == [1 << 18]


def test_counting_rings_bears_that_others_move_theirs(ring_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is gone between the listing and the look at it counts as nothing."""
    create_ring(ring_dir, "s", RingSpec(0))
    monkeypatch.setattr("ipc.ring_file.ring_paths", lambda _: [ring_path(ring_dir, "s"), ring_path(ring_dir, "gone")])
    assert rings_bytes(ring_dir) == SMALLEST_BYTES


def test_a_second_writer_is_refused_as_long_as_the_first_one_lives(ring_dir: str) -> None:
    """Also after the ring has moved to another file."""
    create_ring(ring_dir, "s", RingSpec(0))
    writer = attach_writer(ring_dir, "s", 0)
    with pytest.raises(RingBusy, match="has a living writer"):
        attach_writer(ring_dir, "s", 0)
    assert writer.resize(1 << 18)
    with pytest.raises(RingBusy, match="has a living writer"):
        attach_writer(ring_dir, "s", 0)
    del writer
    assert attach_writer(ring_dir, "s", 0).memory.generation == 2


def test_a_second_writer_that_opened_the_old_file_is_refused(ring_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one moves on between the second one's open and its lock: nothing of the first one's is touched."""
    create_ring(ring_dir, "s", RingSpec(0))
    writer, real_open = attach_writer(ring_dir, "s", 0), os.open

    def open_then_move(path: str, *args: int) -> int:
        fd = real_open(path, *args)
        if path == ring_path(ring_dir, "s"):
            monkeypatch.undo()
            assert writer.resize(1 << 18)
        return fd

    monkeypatch.setattr("ipc.ring_file.os.open", open_then_move)
    with pytest.raises(RingBusy, match="just moved it"):
        attach_writer(ring_dir, "s", 0)
    assert open_ring(ring_dir, "s").generation == 2


def test_another_version_is_refused_by_both_ends(ring_dir: str) -> None:
    """With both versions in the message."""
    create_ring(ring_dir, "s", RingSpec(0))
    with open(ring_path(ring_dir, "s"), "r+b") as file:
        file.seek(at.W_VERSION * 8)
        file.write(struct.pack("<I", 9))
    with pytest.raises(RingVersion, match="version 9, this is version 1"):
        attach_writer(ring_dir, "s", 0)
    with pytest.raises(RingVersion, match="version 9, this is version 1"):
        attach_reader(ring_dir, "s", 0, bell=1, gating=True)


@pytest.mark.parametrize(
    ("size_bytes", "message"),
    [
        (0, "the file has only 0 bytes"),
        (at.HEADER_BYTES - 1, "the file has only 4095 bytes"),
        (at.HEADER_BYTES, "its header needs"),
        (SMALLEST_BYTES - 1, "its header needs"),
    ],
)
def test_a_truncated_file_is_refused(ring_dir: str, size_bytes: int, message: str) -> None:
    """Before anything in it is used: beyond the end waits SIGBUS."""
    create_ring(ring_dir, "s", RingSpec(0))
    os.truncate(ring_path(ring_dir, "s"), size_bytes)
    with pytest.raises(RingCorrupt, match=message):
        attach_writer(ring_dir, "s", 0)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (at.W_MAGIC, 0),
        (at.W_DATA_BYTES, 1 << 40),
        (at.W_SLOTS, 1),
        (at.W_COMMIT, 1 << 40),
        (at.W_OLDEST, 5),
        (at.W_BASE_FRAME, 1),
    ],
)
def test_a_damaged_header_is_refused_and_the_file_stays_unlocked(ring_dir: str, word: int, value: int) -> None:
    """The refused writer keeps neither fd nor lock."""
    create_ring(ring_dir, "s", RingSpec(0))
    path = Path(ring_path(ring_dir, "s"))
    sound = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(word * 8)
        file.write(struct.pack("<Q", value))
    with pytest.raises(RingCorrupt):
        attach_writer(ring_dir, "s", 0)
    path.write_bytes(sound)
    assert attach_writer(ring_dir, "s", 0).put(OUT, CHUNK)


def test_a_damaged_descriptor_is_refused(ring_dir: str) -> None:
    """A writer rebuilds itself from the last frame: one of a kind that there is not is no base to build on."""
    create_ring(ring_dir, "s", RingSpec(0))
    attach_writer(ring_dir, "s", 0).put(OUT, CHUNK)
    with open(ring_path(ring_dir, "s"), "r+b") as file:
        file.seek(at.HEADER_BYTES + 36)
        file.write(struct.pack("<H", 77))
    with pytest.raises(RingCorrupt, match="frame 0 has kind 77"):
        attach_writer(ring_dir, "s", 0)


@pytest.mark.parametrize("leftover", [b"", b"half a ring", bytes(SMALLEST_BYTES)])
def test_leftovers_of_killed_creators_and_movers_are_in_nobodys_way(ring_dir: str, leftover: bytes) -> None:
    """`.new` and `.next` files that never got their name are replaced, and go with the ring."""
    path = ring_path(ring_dir, "s")
    Path(f"{path}.new").write_bytes(leftover)
    create_ring(ring_dir, "s", RingSpec(0))
    assert not os.path.exists(f"{path}.new")
    Path(f"{path}.next").write_bytes(leftover)
    writer = attach_writer(ring_dir, "s", 0)
    assert writer.memory.generation == 1
    assert writer.put(OUT, CHUNK)
    assert writer.resize(1 << 18)
    assert drain(attach_reader(ring_dir, "s", 0, bell=1, gating=True)) == len(CHUNK)
    Path(f"{path}.next").write_bytes(leftover)
    remove_ring(ring_dir, "s")
    assert not [name for name in os.listdir(ring_dir) if ".ring" in name]


def test_a_ring_is_fully_allocated(ring_dir: str) -> None:
    """Every page, when it is made and when it grows: a sparse file would be a SIGBUS to come."""
    create_ring(ring_dir, "s", RingSpec(0))
    writer = attach_writer(ring_dir, "s", 0)
    for data_bytes in (at.MIN_DATA_BYTES, 1 << 18):
        if data_bytes > at.MIN_DATA_BYTES:
            assert writer.resize(data_bytes)
        status = os.stat(ring_path(ring_dir, "s"))
        assert status.st_size == at.segment_bytes(data_bytes)
        assert status.st_blocks * 512 >= status.st_size


def test_files_are_for_nobody_else(ring_dir: str) -> None:
    """Directory 0700, rings and board 0600, whatever the umask; links are not followed."""
    create_ring(ring_dir, "s", RingSpec(0))
    assert os.stat(ring_dir).st_mode & 0o777 == 0o700
    for path in (ring_path(ring_dir, "s"), f"{ring_dir}/board"):
        assert os.stat(path).st_mode & 0o777 == 0o600
    os.rename(ring_path(ring_dir, "s"), f"{ring_dir}/elsewhere")
    os.symlink(f"{ring_dir}/elsewhere", ring_path(ring_dir, "s"))
    with pytest.raises(OSError, match="symbolic links"):
        open_ring(ring_dir, "s")


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_directory_that_others_may_enter_is_refused(shm_dir: str, mode: int) -> None:
    """With what to do about it."""
    os.chmod(shm_dir, mode)
    with pytest.raises(PermissionError, match="must be a directory of our own with mode 0700"):
        create_ring_dir(shm_dir)


def test_a_directory_behind_a_link_is_refused(shm_dir: str) -> None:
    os.mkdir(f"{shm_dir}/real", 0o700)
    os.symlink(f"{shm_dir}/real", f"{shm_dir}/link")
    with pytest.raises(PermissionError, match="must be a directory of our own"):
        create_ring_dir(f"{shm_dir}/link")


def test_a_directory_is_taken_over_with_what_stands_in_it(ring_dir: str) -> None:
    """Made again it keeps its board: whoever comes back after a crash finds everything."""
    open_board(ring_dir)[700] = 42
    create_ring(ring_dir, "s", RingSpec(0))
    create_ring_dir(ring_dir)
    assert open_board(ring_dir)[700] == 42
    assert open_ring(ring_dir, "s").generation == 1


def test_a_foreign_board_is_refused(ring_dir: str) -> None:
    """Of another version, or no board at all."""
    open_board(ring_dir)[1] = 2
    with pytest.raises(RingVersion, match="board version 2"):
        open_board(ring_dir)
    Path(f"{ring_dir}/board").write_bytes(bytes(1 << 20))
    with pytest.raises(RingCorrupt, match="not a board"):
        open_board(ring_dir)
