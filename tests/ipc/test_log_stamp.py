"""Stamped lines stand in a file of their own; the log stays the program's bytes."""

import re
import shutil

from hypothesis import given
from hypothesis import strategies as st

from ipc.log_stamp import LineStamper, stamp_of
from tests.ipc.log_support import (
    LOG,
    at,
    contents,
    no_sink_left_open,  # noqa: F401 - a fixture
    open_sink,
)

STAMP = re.compile(rb"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


def text(directory):
    return (directory / "web.stamped.log").read_bytes()


def test_a_stamp_is_iso_8601():
    """In UTC, to the millisecond."""
    assert stamp_of(1_700_000_000_123_456_789) == b"2023-11-14T22:13:20.123Z "


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"\n", b"\n\n", b"a\nb", b"a\n"]), max_size=12))
def test_each_line_has_one_stamp_however_it_is_cut(pieces):
    """Without its stamps the text is what it was."""
    stamper = LineStamper()
    stamped = b"".join(stamper.stamp(piece, 0) for piece in pieces)
    whole = b"".join(pieces)
    lines = whole.split(b"\n")
    expected = b"\n".join((stamp_of(0) if line or n < len(lines) - 1 else b"") + line for n, line in enumerate(lines))
    assert stamped == expected


def test_the_log_itself_is_not_touched(tmp_path):
    """Both files grow together; redelivered bytes are stamped once."""
    sink = open_sink(tmp_path, stamped=True)
    sink.append(1, 0, [memoryview(b"one\ntw")], at(0))
    sink.append(1, 0, [memoryview(b"one\ntwo\n")], at(1))
    assert contents(tmp_path) == b"one\ntwo\n"
    assert STAMP.sub(b"", text(tmp_path)) == b"one\ntwo\n"
    assert len(STAMP.findall(text(tmp_path))) == 2


def test_it_is_rotated_by_size_too(tmp_path):
    """One older file is kept."""
    sink = open_sink(tmp_path, stamped=True, max_bytes=100)
    for n in range(20):
        sink.append(1, n * 10, [memoryview(b"123456789\n")], at(n))
    assert (tmp_path / "web.stamped.log.1").stat().st_size >= 100
    assert (tmp_path / "web.stamped.log").stat().st_size < 200


def test_its_failure_is_none_of_the_logs(tmp_path):
    """What it lacks is said in it, once it can be written again."""
    sink = open_sink(tmp_path, stamped=True)
    (tmp_path / "web.stamped.log").mkdir()
    assert sink.append(1, 0, [memoryview(b"lost\n")], at(0)) == 5
    assert sink.failure is None
    shutil.rmtree(tmp_path / "web.stamped.log")
    sink.append(1, 5, [memoryview(b"kept\n")], at(1))
    assert b"[ringvisor: 5 bytes are missing here]" in text(tmp_path)
    assert text(tmp_path).endswith(b"kept\n")
    assert contents(tmp_path, LOG) == b"lost\nkept\n"
