"""Failures are states with a reason that heal; what was lost meanwhile is stated."""

import contextlib
import errno
import os
import resource
import shutil
import subprocess

import pytest

from ipc.log_failure import Failure, first_or_next, reason_of, retry_delay_ns
from ipc.log_sink import LogSink
from tests.ipc.log_support import (
    LOG,
    FailingKernel,
    at,
    contents,
    gaps_of,
    no_sink_left_open,  # noqa: F401 - a fixture
    open_sink,
    put,
    report_of,
    rotated_names,
    stream,
)


def failure_of(sink: LogSink) -> Failure:
    assert sink.failure is not None
    return sink.failure


def test_delays_grow_and_are_bounded():
    """From a tenth of a second to five."""
    delays = [retry_delay_ns(n) for n in range(1, 100)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (100_000_000, 5_000_000_000)


def test_a_failure_keeps_its_beginning():
    """`since` is when it began, however often it was tried."""
    error = OSError(errno.ENOSPC, "No space left on device", "/x")
    first = first_or_next(None, error, wall_ns=10, mono_ns=1, writing=True)
    second = first_or_next(first, error, wall_ns=20, mono_ns=5, writing=True)
    assert (second.since_ns, second.attempts, second.retry_ns) == (10, 2, 5 + retry_delay_ns(2))
    assert reason_of(error) == "/x: the disk is full (No space left on device)"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("call", ["writev", "write"])
def test_a_failing_disk_is_a_state_that_heals(tmp_path, code, call):
    """Between attempts nothing is touched; afterwards not a byte is missing or doubled."""
    kernel = FailingKernel()
    sink = open_sink(tmp_path, kernel=kernel)
    put(sink, 1, 0, 100)
    kernel.failing[call] = code
    settled = put(sink, 1, 100, 200_000, second=1)
    failure = failure_of(sink)
    assert (failure.errno, failure.since_ns) == (code, at(1).wall_ns)
    assert sink.deadline_ns == failure.retry_ns
    assert put(sink, 1, 100 + settled, 200_000, second=1.05) == 0
    kernel.failing.clear()
    assert put(sink, 1, 100 + settled, 200_000, second=1.05) == 0  # not before the deadline
    assert put(sink, 1, 100 + settled, 200_000, second=2) == 199_900 - settled
    assert sink.failure is None
    sink.close(at(3))
    assert contents(tmp_path) == stream(1, 0, 200_000)
    assert report_of(tmp_path).problems == []
    assert gaps_of(tmp_path) == []


def test_what_the_ring_dropped_meanwhile_is_stated_after_healing(tmp_path):
    """The gap stands in the index before the bytes that follow it."""
    kernel = FailingKernel()
    sink = open_sink(tmp_path, kernel=kernel)
    put(sink, 1, 0, 100)
    kernel.failing["writev"] = errno.EIO
    assert put(sink, 1, 100, 200, second=1) == 0
    kernel.failing.clear()
    assert put(sink, 1, 5_000, 5_100, second=60) == 100
    sink.close(at(61))
    assert gaps_of(tmp_path) == [(1, 100, 5_000, "GAP")]
    assert report_of(tmp_path).problems == []


def test_a_gap_that_could_not_be_stated_has_not_happened(tmp_path):
    """The index cannot be written when an epoch begins: the position stays, and the epoch is stated later."""
    kernel = FailingKernel()
    sink = open_sink(tmp_path, kernel=kernel)
    put(sink, 1, 0, 100)
    kernel.failing["write"] = errno.ENOSPC
    assert put(sink, 2, 10, 200, second=1) == 0
    assert sink.position == (1, 100)
    kernel.failing.clear()
    assert put(sink, 2, 10, 200, second=60) == 190
    sink.close(at(61))
    assert gaps_of(tmp_path) == [(2, 0, 10, "GAP")]
    assert report_of(tmp_path).problems == []
    assert contents(tmp_path) == stream(1, 0, 100) + stream(2, 10, 200)


def test_a_failure_in_writing_is_not_healed_by_opening(tmp_path):
    """Ticks without bytes put the next attempt off, further and further; the caller is not kept spinning."""
    kernel = FailingKernel()
    sink = open_sink(tmp_path, kernel=kernel)
    kernel.failing["writev"] = errno.ENOSPC
    put(sink, 1, 0, 100, second=1)
    for n in range(2, 50, 6):
        sink.tick(at(n))
        assert failure_of(sink).since_ns == at(1).wall_ns
        assert failure_of(sink).retry_ns > at(n).mono_ns
    kernel.failing.clear()
    put(sink, 1, 0, 100, second=99)
    assert sink.failure is None


def test_a_vanished_directory_comes_back(tmp_path):
    """`rm -rf` while the session runs; another one is made in its place."""
    directory = tmp_path / "logs"
    directory.mkdir()
    sink = open_sink(directory)
    put(sink, 1, 0, 100)
    shutil.rmtree(directory)
    assert put(sink, 1, 100, 200, second=1) == 0
    assert "the log directory is gone" in failure_of(sink).reason
    directory.mkdir()
    sink.tick(at(2))
    assert sink.failure is None
    assert put(sink, 1, 100, 200, second=3) == 100
    assert contents(directory) == stream(1, 100, 200)
    sink.close(at(4))
    assert report_of(directory).problems == []


def test_the_directory_may_come_later(tmp_path):
    """A sink is opened, fails, and heals; it makes no directories."""
    sink = open_sink(tmp_path / "logs")
    assert "the log directory is gone" in failure_of(sink).reason
    (tmp_path / "logs").mkdir()
    assert put(sink, 1, 0, 10, second=1) == 10


def test_a_failed_rename_leaves_a_rotation_that_is_finished_later(tmp_path):
    """Nothing is written to a part that is closed."""
    kernel = FailingKernel()
    sink = open_sink(tmp_path, kernel=kernel, max_bytes=100)
    kernel.failing["rename"] = errno.EIO
    assert put(sink, 1, 0, 250) == 100
    kernel.failing.clear()
    assert put(sink, 1, 100, 250, second=9) == 150
    assert len(rotated_names(tmp_path)) == 2
    sink.close(at(10))
    assert contents(tmp_path) == stream(1, 0, 250)
    assert report_of(tmp_path).problems == []


def test_a_part_is_never_renamed_over_another_file(tmp_path):
    """What stands in its place is left alone; moved away, rotation goes on."""
    sink = open_sink(tmp_path, max_bytes=100)
    put(sink, 1, 0, 100)
    (tmp_path / f"{LOG}.000001").write_bytes(b"mine")
    assert put(sink, 1, 100, 150, second=1) == 0
    assert "move it away" in failure_of(sink).reason
    (tmp_path / f"{LOG}.000001").rename(tmp_path / "elsewhere")
    assert put(sink, 1, 100, 150, second=9) == 50
    assert contents(tmp_path) == stream(1, 0, 150)


def test_the_limit_on_file_size(tmp_path):
    """RLIMIT_FSIZE: EFBIG in the middle of a run; the part that fits is settled."""
    sink = open_sink(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert put(sink, 1, 0, 150_000) == 100_000
        assert "RLIMIT_FSIZE" in failure_of(sink).reason
        assert put(sink, 1, 100_000, 150_000, second=5) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert put(sink, 1, 100_000, 150_000, second=20) == 50_000
    sink.close(at(21))
    assert contents(tmp_path) == stream(1, 0, 150_000)
    assert report_of(tmp_path).problems == []


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 256 KiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("a file system can be mounted by root only")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full(tiny_disk):
    """Log and index compete for the last page; room made again, everything goes on to the byte."""
    (tiny_disk / "ballast").write_bytes(bytes(100_000))
    sink = open_sink(tiny_disk)
    offset, second = 0, 0.0
    while sink.failure is None:
        offset += put(sink, 1, offset, offset + 3_000, second)
        second += 0.3
    assert "the disk is full" in failure_of(sink).reason
    assert offset > 100_000
    for _ in range(5):
        second += 10
        offset += put(sink, 1, offset, offset + 3_000, second)
    (tiny_disk / "ballast").unlink()
    second += 10
    assert put(sink, 1, offset, offset + 3_000, second) == 3_000
    sink.close(at(second + 1))
    assert contents(tiny_disk) == stream(1, 0, offset + 3_000)
    assert report_of(tiny_disk).problems == []
    assert gaps_of(tiny_disk) == []


def test_a_full_disk_at_rotation(tiny_disk):
    """The next part cannot be begun; killed in that state, it is begun by the next writer."""
    sink = open_sink(tiny_disk, max_bytes=50_000)
    put(sink, 1, 0, 50_000)
    fill = tiny_disk / "ballast"
    with fill.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4_096))
    put(sink, 1, 50_000, 60_000, second=1)
    assert failure_of(sink).errno == errno.ENOSPC
    sink.close(at(2))
    fill.unlink()
    heir = open_sink(tiny_disk, 3, max_bytes=50_000)
    assert put(heir, 1, 40_000, 60_000, second=4) == 20_000
    heir.close(at(5))
    assert contents(tiny_disk) == stream(1, 0, 60_000)
    assert report_of(tiny_disk).problems == []
