"""Verification is worth what it finds: every kind of damage, done to real files."""

import os
import shutil
import signal

import pytest

from ipc.log_archive import compress, tidy
from ipc.log_index import RECORD_BYTES
from ipc.log_reader import LogMoved, find_time, read_stream
from ipc.log_retention import Retention
from tests.ipc.log_support import (
    LOG,
    assert_holds,
    at,
    contents,
    no_sink_left_open,  # noqa: F401 - a fixture
    open_sink,
    put,
    report_of,
    stream,
)

PARTS = 4
PART_BYTES = 200_000
END = 700_000


@pytest.fixture(params=["plain", "compressed"])
def log(request, tmp_path):
    """Three full parts and a current one; two epochs."""
    sink = open_sink(tmp_path, max_bytes=PART_BYTES)
    for offset in range(0, END - 100_000, 50_000):
        put(sink, 1, offset, offset + 50_000, second=offset / 10_000)
    put(sink, 2, 0, 100_000, second=100)
    sink.close(at(101))
    if request.param == "compressed":
        for number in (1, 2, 3):
            assert compress(tmp_path, f"{LOG}.{number:06d}")
    return tmp_path


def files_of(log):
    """The part in the middle and the current one."""
    middle = log / f"{LOG}.000002"
    return [path for path in (middle, middle.with_name(middle.name + ".zst"), log / LOG) if path.exists()]


def damage(path, change):
    path.write_bytes(change(bytearray(path.read_bytes())))


def test_a_sound_log_has_no_problems(log):
    """And is counted from its bytes."""
    report = report_of(log)
    assert report.problems == []
    assert report.gaps == []
    assert [(e.epoch, e.first, e.end, e.count) for e in report.epochs] == [
        (1, 0, 600_000, 600_000),
        (2, 0, 100_000, 100_000),
    ]
    assert (report.count, report.unchecked_bytes, report.foreign_bytes) == (END, 0, 0)
    assert len(report.parts) == PARTS
    assert_holds(log, 1, 0, 600_000)
    assert_holds(log, 1, 123_456, 543_210)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b[:50_000] + bytes([b[50_000] ^ 1]) + b[50_001:],
        lambda b: b[:50_000] + b[50_001:],
        lambda b: b[:50_000] + b"x" + b[50_000:],
        lambda b: b[:10_000] + b[6_000:10_000] + b[10_000:],
        lambda b: b[4_096:8_192] + b[:4_096] + b[8_192:],
        lambda b: b[:-5],  # an archive's last four bytes are its own checksum, of which it may lack some
        lambda b: b[1:],
        lambda _: b"",
        lambda b: b[:65_536],
    ],
    ids=[
        "flipped",
        "missing",
        "inserted",
        "doubled",
        "swapped",
        "end-missing",
        "first-missing",
        "emptied",
        "cut-at-check",
    ],
)
def test_damaged_bytes_are_found(log, change):
    """In a rotated part, compressed or not, and in the current one."""
    for path in files_of(log):
        sound = path.read_bytes()
        damage(path, change)
        assert not report_of(log).ok, path
        path.write_bytes(sound)
    assert report_of(log).ok


def test_swapped_blocks_are_found(log):
    """Two whole blocks of 64 KiB have valid sums, each in its own place."""
    path = log / LOG
    size = 65_536
    damage(log / LOG, lambda b: b[size:] + b[:size])
    assert not report_of(log).ok, path


def test_appended_bytes_are_found(log):
    """Behind a closed part they are a problem; behind the current one nobody can tell, and they are counted."""
    plain = log / f"{LOG}.000002"
    if plain.exists():
        damage(plain, lambda b: b + b"x")
        assert "1 bytes follow" in report_of(log).problems[0].what
        damage(plain, lambda b: b[:-1])
    damage(log / LOG, lambda b: b + b"x")
    assert report_of(log).unchecked_bytes == 1


@pytest.mark.parametrize("what", ["log", "index", "both"])
@pytest.mark.parametrize("number", [2, 3])
def test_a_part_taken_out_of_the_middle_is_found(log, what, number):
    """Its log, its index, or both."""
    for path in log.glob(f"{LOG}.{number:06d}*"):
        if what == "both" or (path.suffix == ".idx") == (what == "index"):
            path.unlink()
    assert not report_of(log).ok


def test_the_oldest_parts_may_be_gone(log):
    """That is what retention does: the log begins later."""
    for path in log.glob(f"{LOG}.000001*"):
        path.unlink()
    report = report_of(log)
    assert report.problems == []
    assert report.epochs[0].first == PART_BYTES


@pytest.mark.parametrize("with_indexes", [True, False])
def test_parts_that_changed_places_are_found(log, with_indexes):
    """With their indexes or without."""
    for one in log.glob(f"{LOG}.000001*"):
        if one.suffix == ".idx" and not with_indexes:
            continue
        other = log / one.name.replace("000001", "000002")
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
    assert not report_of(log).ok


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b[:RECORD_BYTES] + b[2 * RECORD_BYTES :],
        lambda b: b[: 3 * RECORD_BYTES] + b[4 * RECORD_BYTES :],
        lambda b: b[:-RECORD_BYTES],
        lambda b: b[:96] + b[144:192] + b[96:144] + b[192:],
        lambda b: b[:200] + bytes([b[200] ^ 4]) + b[201:],
        lambda b: bytes([b[0] ^ 4]) + b[1:],
        lambda b: b[:-5],
        lambda _: b"",
        lambda b: b + b[-RECORD_BYTES:],
    ],
    ids=["first-gone", "third-gone", "close-gone", "swapped", "flipped", "header", "torn", "emptied", "doubled"],
)
def test_a_damaged_index_is_found(log, change):
    """Of a rotated part."""
    damage(log / f"{LOG}.000002.idx", change)
    assert not report_of(log).ok


def test_an_index_that_belongs_to_another_part_is_found(log):
    """Whole and sound as it is."""
    shutil.copy(log / f"{LOG}.000001.idx", log / f"{LOG}.000002.idx")
    assert not report_of(log).ok


def test_every_single_byte_is_covered(tmp_path):
    """A small log, each byte flipped in turn."""
    sink = open_sink(tmp_path)
    put(sink, 1, 0, 60)
    sink.tick(at(5))
    put(sink, 1, 60, 200, second=6)
    sink.close(at(9))
    sound = contents(tmp_path)
    for place in range(len(sound)):
        (tmp_path / LOG).write_bytes(sound[:place] + bytes([sound[place] ^ 0x40]) + sound[place + 1 :])
        assert not report_of(tmp_path).ok


def test_a_stream_is_read_in_pieces_with_its_gaps(tmp_path):
    """Offsets jump where the log has nothing."""
    sink = open_sink(tmp_path, max_bytes=1000)
    put(sink, 1, 0, 1500)
    put(sink, 1, 2000, 2500)
    put(sink, 2, 0, 10)
    pieces = list(read_stream(tmp_path, LOG, 1, 1200, 2100))
    assert b"".join(data for _, data in pieces) == stream(1, 1200, 1500) + stream(1, 2000, 2100)
    assert [offset for offset, _ in pieces] == [1200, 2000]
    assert list(read_stream(tmp_path, LOG, 3)) == []


def test_a_place_in_time_misses_nothing(log):
    """Whatever was written at that time or later lies behind the place; not much else does."""
    for second in (0, 7, 23.5, 55, 99, 100):
        place = find_time(log, LOG, at(second).wall_ns)
        assert place is not None
        written_since = 2 if second > 55 else 1
        assert place.position.epoch <= written_since
        if place.position.epoch == 1:
            first_since = -(-second // 5) * 50_000
            assert first_since - 3 * 65_536 <= place.position.offset <= first_since
    assert find_time(log, LOG, at(1000).wall_ns) is None


def test_a_clock_that_was_set_back_hides_nothing(tmp_path):
    """The first record that is late enough counts, though later ones are early again."""
    sink = open_sink(tmp_path)
    for n, second in enumerate([10, 20, 30, 5, 6, 40]):
        put(sink, 1, n * 100, n * 100 + 100, second=second)
        sink._part.check(at(second).wall_ns)
    place = find_time(tmp_path, LOG, at(25).wall_ns)
    assert place is not None
    assert place.position == (1, 200)
    assert place.file_offset == 200


@pytest.mark.slow
def test_a_log_is_verified_while_it_is_written_rotated_and_packed(tmp_path):
    """A reader never takes what is going on for damage."""
    pid = os.fork()
    if pid == 0:
        _write_until_killed(tmp_path)
    reached = 0
    try:
        while reached < 6_000_000:
            try:
                report = report_of(tmp_path)
            except LogMoved:
                continue
            assert report.problems == []
            reached = report.position.offset if report.position is not None else 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _write_until_killed(directory):
    try:
        sink = open_sink(directory, max_bytes=100_000)
        data = memoryview(stream(1, 0, 7_000))
        for n in range(10_000_000):
            sink.append(1, n * 7_000, [data], at(n))
            if n % 20 == 0:
                tidy(directory, LOG, Retention(keep=5), at(n).wall_ns)
    finally:
        os._exit(1)


def test_an_empty_directory_has_an_empty_log(tmp_path):
    """No parts, no problems, no place."""
    assert report_of(tmp_path).parts == []
    assert find_time(tmp_path, LOG, 0) is None


def test_a_log_without_an_index_is_no_proof(tmp_path):
    """Its bytes are nobody's."""
    (tmp_path / LOG).write_bytes(b"hello")
    report = report_of(tmp_path)
    assert not report.ok
    assert report.foreign_bytes == 5
