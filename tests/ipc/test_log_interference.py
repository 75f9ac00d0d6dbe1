"""Other people's hands on the files: cut, deleted, renamed, written to, linked. With and without a router running."""

import os
import stat

import pytest

from ipc.log_directory import LogRefused, SessionUser, may_write, open_directory
from ipc.log_retention import LogPolicy
from ipc.log_sink import LogSink
from tests.ipc.log_support import (
    LOG,
    FailingKernel,
    assert_holds,
    at,
    contents,
    gaps_of,
    kill,
    no_sink_left_open,  # noqa: F401 - a fixture
    open_sink,
    put,
    report_of,
    stream,
)


def written(directory, end=100_000):
    sink = open_sink(directory)
    put(sink, 1, 0, end)
    return sink


def _append(path, data=b"hello\n"):
    with path.open("ab") as file:
        file.write(data)


def append_foreign(directory, data=b"hello\n"):
    _append(directory / LOG, data)


def closed_report(sink, directory, second=50):
    sink.close(at(second))
    report = report_of(directory)
    assert report.problems == []
    return report


def test_truncated_while_running(tmp_path):
    """`> web.log`, logrotate's copytruncate: the stream goes on, what was cut is a gap."""
    sink = written(tmp_path)
    os.truncate(tmp_path / LOG, 0)
    put(sink, 1, 100_000, 100_500, second=1)
    assert contents(tmp_path) == stream(1, 100_000, 100_500)
    report = closed_report(sink, tmp_path)
    assert gaps_of(tmp_path) == [(1, 0, 100_000, "TRUNCATED")]
    assert report.count == 500


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 90_000])
def test_cut_in_the_middle_while_running(tmp_path, size):
    """Also amid a block, or amid bytes that had no check yet."""
    sink = written(tmp_path)
    os.truncate(tmp_path / LOG, size)
    put(sink, 1, 100_000, 100_500, second=1)
    report = closed_report(sink, tmp_path)
    assert gaps_of(tmp_path) == [(1, size, 100_000, "TRUNCATED")]
    assert_holds(tmp_path, 1, 0, size)
    assert_holds(tmp_path, 1, 100_000, 100_500)
    assert report.count == size + 500


@pytest.mark.parametrize("size", [0, 1, 65_536, 70_000])
def test_truncated_while_no_router_ran(tmp_path, size):
    """The books balance: what is there and what is stated as lost make up everything."""
    kill(written(tmp_path))
    os.truncate(tmp_path / LOG, size)
    heir = open_sink(tmp_path, 10)
    put(heir, 1, 100_000, 100_500, second=11)
    report = closed_report(heir, tmp_path)
    assert_holds(tmp_path, 1, 0, size)
    assert report.count == size + 500
    assert sum(gap.end - gap.start for gap in report.gaps) == 100_000 - size


def test_foreign_bytes_while_running(tmp_path):
    """They stay where they are, belong to no stream, and move nothing."""
    sink = written(tmp_path, 1000)
    append_foreign(tmp_path)
    put(sink, 1, 1000, 2000, second=1)
    assert contents(tmp_path) == stream(1, 0, 1000) + b"hello\n" + stream(1, 1000, 2000)
    report = closed_report(sink, tmp_path)
    assert (report.foreign_bytes, report.count, report.gaps) == (6, 2000, [])
    assert_holds(tmp_path, 1, 0, 2000)


@pytest.mark.parametrize("meddle", [lambda path: os.truncate(path, 10), _append])
def test_meddling_between_the_look_and_the_write(tmp_path, meddle):
    """O_APPEND and the file position tell where the bytes went."""
    kernel = FailingKernel()
    sink = open_sink(tmp_path, kernel=kernel)
    put(sink, 1, 0, 1000)
    kernel.before["writev"] = lambda: meddle(tmp_path / LOG)
    put(sink, 1, 1000, 2000, second=1)
    put(sink, 1, 2000, 3000, second=2)
    report = closed_report(sink, tmp_path)
    assert report.count + sum(gap.end - gap.start for gap in report.gaps) == 3000
    assert_holds(tmp_path, 1, 1000, 3000)


@pytest.mark.parametrize("checked", [True, False], ids=["after-a-check", "behind-the-last-check"])
@pytest.mark.parametrize("cursor", [0, 900, 1000], ids=["all-again", "some-again", "nothing-again"])
def test_foreign_bytes_while_no_router_ran(tmp_path, checked, cursor):
    """What the ring delivers again, or next, shows that they are not the stream's."""
    sink = written(tmp_path, 1000)
    if checked:
        sink.close(at(5))
    kill(sink)
    append_foreign(tmp_path)
    heir = open_sink(tmp_path, 10)
    assert heir.position == (1, 1006)  # as far as one can tell
    assert put(heir, 1, cursor, 2000, second=11) == 2000 - cursor
    assert contents(tmp_path) == stream(1, 0, 1000) + b"hello\n" + stream(1, 1000, 2000)
    report = closed_report(heir, tmp_path)
    assert (report.foreign_bytes, report.count, report.gaps) == (6, 2000, [])
    assert_holds(tmp_path, 1, 0, 2000)


def test_foreign_bytes_behind_the_end_of_an_epoch(tmp_path):
    """END tells that the epoch is over below them."""
    kill(written(tmp_path, 1000))
    append_foreign(tmp_path)
    heir = open_sink(tmp_path, 10)
    assert heir.end_epoch(1, 1000, at(11))
    put(heir, 2, 0, 10, second=12)
    report = closed_report(heir, tmp_path)
    assert [(e.epoch, e.count) for e in report.epochs] == [(1, 1000), (2, 10)]
    assert report.foreign_bytes == 6


def test_doubt_survives_a_second_intrusion(tmp_path):
    """More foreign bytes come before the ring has told about the first ones."""
    kill(written(tmp_path, 1000))
    append_foreign(tmp_path)
    heir = open_sink(tmp_path, 10)
    append_foreign(tmp_path)
    heir.reopen(at(11))
    put(heir, 1, 1000, 2000, second=12)
    report = closed_report(heir, tmp_path)
    assert (report.foreign_bytes, report.count, report.gaps) == (12, 2000, [])


def test_more_bytes_than_we_can_have_left_behind_are_foreign(tmp_path):
    """A tail is bounded; one that is longer is not believed."""
    written(tmp_path, 1000).close(at(5))
    append_foreign(tmp_path, bytes(3_000_000))
    heir = open_sink(tmp_path, 10)
    assert heir.position == (1, 1000)
    put(heir, 1, 1000, 2000, second=11)
    assert closed_report(heir, tmp_path).foreign_bytes == 3_000_000


def test_deleted_while_running(tmp_path):
    """The name comes back with the next byte; what was deleted is a gap."""
    sink = written(tmp_path)
    (tmp_path / LOG).unlink()
    put(sink, 1, 100_000, 100_500, second=1)
    assert contents(tmp_path) == stream(1, 100_000, 100_500)
    closed_report(sink, tmp_path)
    assert gaps_of(tmp_path) == [(1, 0, 100_000, "REPLACED")]


def test_log_and_index_deleted_while_running(tmp_path):
    """`rm *`: the log begins again where the stream is."""
    sink = written(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    put(sink, 1, 100_000, 100_500, second=1)
    report = closed_report(sink, tmp_path)
    assert [(e.epoch, e.first, e.end) for e in report.epochs] == [(1, 100_000, 100_500)]


def test_the_current_part_deleted_with_its_index_is_found(tmp_path):
    """Rotated parts tell: the log does not go on where they end."""
    sink = written(tmp_path, 1000)
    sink.rotate(at(0))
    put(sink, 1, 1000, 2000)
    (tmp_path / LOG).unlink()
    (tmp_path / f"{LOG}.idx").unlink()
    put(sink, 1, 2000, 3000, second=1)
    sink.close(at(2))
    assert "the part before it ends at epoch 1, offset 1000" in report_of(tmp_path).problems[0].what


@pytest.mark.parametrize("vanish", [os.unlink, lambda path: os.truncate(path, 0), lambda path: os.truncate(path, 60)])
def test_the_index_vanishes_while_running(tmp_path, vanish):
    """A new one is begun; not a byte is lost or doubled."""
    sink = written(tmp_path)
    vanish(tmp_path / f"{LOG}.idx")
    done = 100_000
    for second in range(1, 60, 10):
        done += put(sink, 1, done, 300_000, second=second)
    assert done == 300_000
    sink.close(at(99))
    assert contents(tmp_path) == stream(1, 0, 300_000)


def test_renamed_by_logrotate_and_reopened_on_signal(tmp_path):
    """Until the signal the bytes go to the renamed file, after it to a new one."""
    sink = written(tmp_path, 1000)
    (tmp_path / LOG).rename(tmp_path / "web.log.old")
    put(sink, 1, 1000, 2000, second=1)
    assert (tmp_path / "web.log.old").read_bytes() == stream(1, 0, 2000)
    assert sink.reopen(at(2))
    put(sink, 1, 2000, 3000, second=3)
    assert contents(tmp_path) == stream(1, 2000, 3000)
    closed_report(sink, tmp_path)
    assert gaps_of(tmp_path) == [(1, 0, 2000, "REPLACED")]


@pytest.mark.parametrize("running", [True, False])
def test_another_file_in_its_place(tmp_path, running):
    """Its bytes are nobody's; the stream goes on behind them."""
    sink = written(tmp_path, 1000)
    if not running:
        sink.close(at(5))
    (tmp_path / LOG).unlink()
    (tmp_path / LOG).write_bytes(b"x" * 5000)
    sink = sink if running else open_sink(tmp_path, 9)
    sink.reopen(at(10))
    put(sink, 1, 1000, 2000, second=11)
    assert contents(tmp_path) == b"x" * 5000 + stream(1, 1000, 2000)
    report = closed_report(sink, tmp_path)
    assert gaps_of(tmp_path) == [(1, 0, 1000, "REPLACED")]
    assert (report.foreign_bytes, report.count) == (5000, 1000)


def test_no_link_is_followed(tmp_path):
    """Neither for the log nor for its index, whenever it is put there."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for name in (LOG, f"{LOG}.idx"):
        directory = tmp_path / name.replace(".", "-")
        directory.mkdir()
        sink = written(directory, 100)
        (directory / name).unlink()
        (directory / name).symlink_to(victim)
        sink.reopen(at(1))
        assert put(sink, 1, 100, 200, second=2) == 0
        assert sink.failure is not None
        assert "symbolic link" in sink.failure.reason
    assert victim.read_bytes() == b"precious"


def test_a_fifo_in_its_place_does_not_hang(tmp_path):
    """It is refused with a reason."""
    os.mkfifo(tmp_path / LOG)
    sink = open_sink(tmp_path)
    assert sink.failure is not None
    assert "not a regular file" in sink.failure.reason


USER = SessionUser(uid=4242, gids=frozenset({5252}))


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "allowed"),
    [
        (0o755, 0, 0, False),
        (0o755, 4242, 0, True),
        (0o555, 4242, 0, True),
        (0o770, 0, 5252, True),
        (0o750, 0, 5252, False),
        (0o777, 0, 0, True),
        (0o1777, 0, 0, True),
        (0o702, 0, 5252, False),
    ],
)
def test_who_may_write(mode, uid, gid, allowed):
    """By owner, group, others, in the order in which the kernel looks."""
    info = os.stat_result((stat.S_IFDIR | mode, 0, 0, 0, uid, gid, 0, 0, 0, 0))
    assert may_write(info, USER, has_acl=False) is allowed


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory away")
def test_a_directory_that_the_sessions_user_can_write_to_is_refused(tmp_path):
    """Whether it is the directory itself or one above it; put right, the log heals."""
    above = tmp_path / "above"
    directory = above / "logs"
    directory.mkdir(parents=True)
    for place in (above, directory):
        os.chown(place, USER.uid, 0)
        sink = LogSink.open(directory, LOG, LogPolicy(), at(0), user=USER)
        assert sink.failure is not None
        assert f"uid {USER.uid}" in sink.failure.reason
        assert str(place) in sink.failure.reason
        with pytest.raises(LogRefused):
            open_directory(directory, USER)
        os.chown(place, 0, 0)
        assert put(sink, 1, 0, 10, second=9) == 10
        sink.close(at(10))


def test_root_and_we_ourselves_are_not_refused(tmp_path):
    """They could do it anyway."""
    for uid in (0, os.geteuid()):
        os.close(open_directory(tmp_path, SessionUser(uid, frozenset())))
