"""The sink in quiet times: positions, checks in time, rotation, reopening, clearing."""

import os
import stat

import pytest

from ipc.log_index import RECORD_BYTES, Check, decode_header, slots
from ipc.log_retention import LogPolicy
from ipc.log_sink import LogSink, cut
from tests.ipc.log_support import (
    LOG,
    CrashingKernel,
    assert_holds,
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


def index_records(directory, name=LOG):
    raw = (directory / f"{name}.idx").read_bytes()
    assert decode_header(raw) is not None
    return list(slots(raw[RECORD_BYTES:], 1))


def test_a_new_log_exists_and_its_index_stands_before_the_first_byte(tmp_path):
    """Opening makes both files; the index has its header and first anchor."""
    open_sink(tmp_path)
    assert (tmp_path / LOG).stat().st_size == 0
    assert stat.S_IMODE((tmp_path / LOG).stat().st_mode) & 0o007 == 0
    assert (tmp_path / f"{LOG}.idx").stat().st_size == 2 * RECORD_BYTES


def test_the_log_holds_exactly_the_bytes(tmp_path):
    """Nothing of ours is mixed in."""
    sink = open_sink(tmp_path)
    assert put(sink, 1, 0, 1000) == 1000
    assert put(sink, 1, 1000, 200_000) == 199_000
    assert (tmp_path / LOG).read_bytes() == stream(1, 0, 200_000)
    assert sink.position == (1, 200_000)


def test_many_views_of_one_run_are_written_in_order(tmp_path):
    """More pieces than one writev takes, empty ones among them."""
    sink = open_sink(tmp_path)
    data = memoryview(stream(1, 0, 3000))
    views = [data[i : i + 1] for i in range(3000)]
    views.insert(5, data[:0])
    assert sink.append(1, 0, views, at(0)) == 3000
    assert (tmp_path / LOG).read_bytes() == data


def test_what_is_in_the_file_is_skipped_exactly(tmp_path):
    """A run that begins below the position is cut at it, an older epoch is left out as a whole."""
    sink = open_sink(tmp_path)
    put(sink, 1, 0, 500)
    put(sink, 2, 0, 500)
    assert put(sink, 2, 300, 800) == 500
    assert put(sink, 1, 400, 900) == 500
    assert put(sink, 2, 0, 10) == 10
    assert contents(tmp_path) == stream(1, 0, 500) + stream(2, 0, 800)


def test_a_jump_is_a_stated_gap(tmp_path):
    """Within an epoch, and at the begin of one."""
    sink = open_sink(tmp_path)
    put(sink, 1, 0, 10)
    put(sink, 1, 30, 40)
    put(sink, 4, 7, 9)
    sink.close(at(1))
    assert gaps_of(tmp_path) == [(1, 10, 30, "GAP"), (4, 0, 7, "GAP")]
    epochs = [(e.epoch, e.first, e.end, e.count) for e in report_of(tmp_path).epochs]
    assert epochs == [(1, 0, 40, 20), (4, 7, 9, 2)]


def test_the_end_of_an_epoch_states_what_never_came(tmp_path):
    """END says how much the program wrote; a whole epoch may be missing."""
    sink = open_sink(tmp_path)
    put(sink, 1, 0, 10)
    assert sink.end_epoch(1, 25, at(0))
    assert sink.end_epoch(2, 99, at(0))
    assert sink.end_epoch(2, 99, at(0))
    assert gaps_of(tmp_path) == [(1, 10, 25, "GAP"), (2, 0, 99, "GAP")]


def test_a_block_is_vouched_for_at_each_64_kib(tmp_path):
    """However the runs are cut, no check covers more, and the bytes behind the last one are fewer."""
    sink = open_sink(tmp_path)
    offset = 0
    for length in (60_000, 70_000, 1, 300_000, 65_536):
        put(sink, 1, offset, offset + length)
        offset += length
    checks = [record for record in index_records(tmp_path) if isinstance(record, Check)]
    assert [check.file_offset for check in checks] == list(range(65_536, offset, 65_536))


def test_bytes_are_vouched_for_within_a_second_and_an_idle_sink_has_no_deadline(tmp_path):
    """The deadline is a second after the first byte that has no check; tick before it does nothing."""
    sink = open_sink(tmp_path)
    assert sink.deadline_ns is None
    put(sink, 1, 0, 10, second=5)
    put(sink, 1, 10, 20, second=5.5)
    assert sink.deadline_ns == at(6).mono_ns
    before = len(index_records(tmp_path))
    sink.tick(at(5.9))
    assert len(index_records(tmp_path)) == before
    sink.tick(at(6))
    assert isinstance(index_records(tmp_path)[-1], Check)
    assert sink.deadline_ns is None
    assert report_of(tmp_path).unchecked_bytes == 0


def test_a_busy_sink_checks_each_second_without_tick(tmp_path):
    """Whoever appends need not tick."""
    sink = open_sink(tmp_path)
    for n in range(35):
        put(sink, 1, n, n + 1, second=n / 10)
    checks = [record for record in index_records(tmp_path) if isinstance(record, Check)]
    assert len(checks) == 3


def test_idle_sinks_make_no_system_call_and_opening_again_writes_nothing(tmp_path):
    """Going on where one was is free."""
    sink = open_sink(tmp_path)
    put(sink, 1, 0, 100)
    sink.close(at(1))
    before = (tmp_path / f"{LOG}.idx").read_bytes()
    kernel = CrashingKernel(None)
    sink = open_sink(tmp_path, 2, kernel=kernel)
    calls = kernel.calls
    for second in range(3, 10):
        sink.tick(at(second))
    assert kernel.calls == calls
    assert (tmp_path / f"{LOG}.idx").read_bytes() == before
    assert sink.position == (1, 100)


def test_parts_are_cut_at_their_size_exactly(tmp_path):
    """A run that goes over the border, even several borders, is split there."""
    sink = open_sink(tmp_path, max_bytes=1000)
    put(sink, 1, 0, 900)
    put(sink, 1, 900, 3500)
    assert rotated_names(tmp_path) == [f"{LOG}.000001", f"{LOG}.000002", f"{LOG}.000003"]
    assert [(tmp_path / name).stat().st_size for name in rotated_names(tmp_path)] == [1000, 1000, 1000]
    assert (tmp_path / LOG).stat().st_size == 500
    assert contents(tmp_path) == stream(1, 0, 3500)
    assert_holds(tmp_path, 1, 700, 3300)
    sink.close(at(1))
    assert report_of(tmp_path).problems == []


def test_a_full_part_is_rotated_when_more_comes_and_not_before(tmp_path):
    """No empty file is made."""
    sink = open_sink(tmp_path, max_bytes=1000)
    put(sink, 1, 0, 1000)
    assert rotated_names(tmp_path) == []
    put(sink, 1, 1000, 1001)
    assert rotated_names(tmp_path) == [f"{LOG}.000001"]


@pytest.mark.parametrize(
    ("policy", "due_s"), [({"interval_s": 60}, 60), ({"daily": True, "utc_offset_s": 3600}, 86_400)]
)
def test_rotation_by_time(tmp_path, policy, due_s):
    """When bytes come after the time, and only if the part has any."""
    sink = open_sink(tmp_path, **policy)
    put(sink, 1, 0, 10, second=due_s + 5)
    assert rotated_names(tmp_path) == []
    put(sink, 1, 10, 20, second=2 * due_s + 6)
    assert rotated_names(tmp_path) == [f"{LOG}.000001"]
    assert contents(tmp_path) == stream(1, 0, 20)


def test_rotation_on_demand_counts_on(tmp_path):
    """Numbers only grow, also over a restart; an empty part is not rotated."""
    for n in range(3):
        sink = open_sink(tmp_path)
        put(sink, 1, n, n + 1)
        assert sink.rotate(at(0))
        assert sink.rotate(at(0))
        sink.close(at(1))
    (tmp_path / f"{LOG}.000001").unlink()
    (tmp_path / f"{LOG}.000001.idx").unlink()
    sink = open_sink(tmp_path)
    put(sink, 1, 3, 4)
    sink.rotate(at(0))
    assert rotated_names(tmp_path) == [f"{LOG}.00000{n}" for n in (2, 3, 4)]


def test_clear_empties_the_file_and_keeps_the_position(tmp_path):
    """What was cut is stated."""
    sink = open_sink(tmp_path)
    put(sink, 1, 0, 100)
    assert sink.clear(at(1))
    assert contents(tmp_path) == b""
    put(sink, 1, 100, 150, second=2)
    sink.close(at(3))
    assert contents(tmp_path) == stream(1, 100, 150)
    assert gaps_of(tmp_path) == [(1, 0, 100, "CLEARED")]
    assert report_of(tmp_path).problems == []


def test_a_second_writer_is_kept_out(tmp_path):
    """Its sink fails with a reason, and goes on once the first one is gone."""
    first = open_sink(tmp_path)
    put(first, 1, 0, 10)
    second = open_sink(tmp_path)
    assert second.failure is not None
    assert "another process writes this log" in second.failure.reason
    assert put(second, 1, 10, 20) == 0
    first.close(at(1))
    assert put(second, 1, 10, 20, second=20) == 10
    assert second.failure is None
    assert contents(tmp_path) == stream(1, 0, 20)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../web.log"])
def test_a_name_is_a_file_name(tmp_path, name):
    """No path leads out of the directory."""
    with pytest.raises(ValueError, match="no file name"):
        LogSink.open(tmp_path, name, LogPolicy(), at(0))


def test_closing_leaves_no_descriptor(tmp_path):
    """Nor do rotation, reopening and failure."""
    before = set(os.listdir("/proc/self/fd"))
    sink = open_sink(tmp_path, max_bytes=100)
    put(sink, 1, 0, 1000)
    sink.reopen(at(1))
    sink.clear(at(1))
    sink.close(at(2))
    other = open_sink(tmp_path / "absent")
    assert other.failure is not None
    other.close(at(3))
    assert set(os.listdir("/proc/self/fd")) == before


def test_cut_takes_the_bytes_between_two_places():
    """Of all views together."""
    views = [memoryview(b"abc"), memoryview(b""), memoryview(b"defg"), memoryview(b"h")]
    for start in range(9):
        for end in range(start, 9):
            assert b"".join(cut(views, start, end)) == b"abcdefgh"[start:end]
