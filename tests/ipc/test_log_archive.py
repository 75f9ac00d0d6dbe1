"""Compressing and deleting rotated parts, interrupted anywhere."""

import os
import signal

import pytest

from ipc import log_archive
from ipc.log_archive import ArchiveWrong, compress, tidy
from ipc.log_retention import Retention
from tests.ipc.log_support import (
    LOG,
    assert_holds,
    at,
    no_sink_left_open,  # noqa: F401 - a fixture
    open_sink,
    put,
    report_of,
)

NOW = at(10_000).wall_ns


@pytest.fixture
def log(tmp_path):
    """Three rotated parts of 100 KB and a current one."""
    sink = open_sink(tmp_path, max_bytes=100_000)
    put(sink, 1, 0, 350_000)
    sink.close(at(1))
    return tmp_path


def names(log):
    return sorted(path.name for path in log.iterdir())


def test_a_part_is_replaced_by_its_archive(log):
    """The index stays, the age stays, the bytes stay."""
    before = (log / f"{LOG}.000001").stat()
    assert compress(log, f"{LOG}.000001")
    assert f"{LOG}.000001" not in names(log)
    after = (log / f"{LOG}.000001.zst").stat()
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert report_of(log).problems == []
    assert_holds(log, 1, 0, 350_000)


def test_compressing_again_changes_nothing(log):
    """There is no such part any more."""
    assert compress(log, f"{LOG}.000001")
    assert not compress(log, f"{LOG}.000001")


STEPS = ("fsync", "utime", "rename", "unlink")


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_can_be_done_again(log, step, monkeypatch):
    """Until then the log is whole, with the plain part, the archive, or both."""
    pid = os.fork()
    if pid == 0:
        setattr(log_archive.os, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        compress(log, f"{LOG}.000002")
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert report_of(log).problems == []
    assert_holds(log, 1, 0, 350_000)
    compress(log, f"{LOG}.000002")
    assert f"{LOG}.000002.zst" in names(log)
    assert not [name for name in names(log) if name.startswith(".")]
    assert report_of(log).problems == []


def test_what_cannot_be_read_back_is_not_kept(log, monkeypatch):
    """The plain part is deleted only once its archive is proven."""
    monkeypatch.setattr(log_archive, "_crc_of_archive", lambda *_: 0)
    with pytest.raises(ArchiveWrong):
        compress(log, f"{LOG}.000001")
    assert names(log).count(f"{LOG}.000001") == 1
    assert not [name for name in names(log) if name.endswith((".zst", ".new"))]


def test_tidy_deletes_the_oldest_and_packs_the_rest(log):
    """The current part is left alone."""
    assert tidy(log, LOG, Retention(keep=2), NOW) == [f"{LOG}.000001"]
    assert names(log) == sorted(
        [LOG, f"{LOG}.idx", *(f"{LOG}.00000{n}{end}" for n in (2, 3) for end in (".zst", ".idx"))]
    )
    assert report_of(log).problems == []
    assert tidy(log, LOG, Retention(keep=2), NOW) == []


def test_an_interrupted_deletion_is_completed(log):
    """An index without its log at the old end."""
    (log / f"{LOG}.000001").unlink()
    assert report_of(log).problems == []
    tidy(log, LOG, Retention(), NOW, pack=False)
    assert f"{LOG}.000001.idx" not in names(log)
    assert report_of(log).problems == []


def test_a_hole_in_the_middle_stays_as_evidence(log):
    """Somebody took a part away: tidying does not hide it."""
    (log / f"{LOG}.000002").unlink()
    tidy(log, LOG, Retention(), NOW)
    assert f"{LOG}.000002.idx" in names(log)
    assert not report_of(log).ok


def test_a_part_on_its_way_through_a_rotation_is_left_alone(tmp_path):
    """The log has its number, its index not yet: it is not packed, and the writer completes the rotation."""
    sink = open_sink(tmp_path)
    put(sink, 1, 0, 1000)
    sink._part.close(at(1).wall_ns)
    (tmp_path / LOG).rename(tmp_path / f"{LOG}.000001")
    tidy(tmp_path, LOG, Retention(), NOW)
    sink.reopen(at(2))
    put(sink, 1, 1000, 2000, second=3)
    sink.close(at(4))
    assert names(tmp_path) == [LOG, f"{LOG}.000001", f"{LOG}.000001.idx", f"{LOG}.idx"]
    assert_holds(tmp_path, 1, 0, 2000)
    assert report_of(tmp_path).problems == []
