"""A directory that is listed once for many logs: nothing is overlooked in it that matters."""

import os

import pytest

from ipc.log_kernel import ListedOnce
from ipc.log_retention import LogPolicy
from ipc.log_sink import LogSink
from tests.ipc.log_support import LOG, at, open_sink, put, rotated_names


@pytest.fixture
def listings(monkeypatch):
    """How often a directory was listed."""
    counted, listdir = [], os.listdir

    def count(directory):
        counted.append(directory)
        return listdir(directory)

    monkeypatch.setattr(os, "listdir", count)
    return counted


def test_a_thousand_new_logs_list_their_directory_once(tmp_path, listings):
    """Each listing of a directory of thousands costs a millisecond."""
    kernel = ListedOnce()
    for number in range(1000):
        sink = LogSink.open(tmp_path, f"{number}.log", LogPolicy(), at(0), kernel=kernel)
        assert sink.failure is None
        sink.close(at(0))
    assert len(listings) == 1
    kernel.forget()
    LogSink.open(tmp_path, "another.log", LogPolicy(), at(0), kernel=kernel).close(at(0))
    assert len(listings) == 2


def test_parts_that_were_just_rotated_are_seen(tmp_path):
    """Each gets the number behind the one before it."""
    sink = open_sink(tmp_path, kernel=ListedOnce())
    for number in range(3):
        put(sink, 1, 100 * number, 100 * number + 100)
        assert sink.rotate(at(number))
    sink.close(at(3))
    assert rotated_names(tmp_path) == [f"{LOG}.{number:06d}" for number in (1, 2, 3)]


def test_only_the_parts_of_this_log_are_taken_for_its_own(tmp_path):
    """Names that begin alike lie side by side in the listing."""
    for name in ("a.log", "a.log.1.log", "a.lo", "a.log.000007", "a.log.000007.idx", "a.logs.000009", "b"):
        (tmp_path / name).touch()
    directory_fd = os.open(tmp_path, os.O_RDONLY)
    found = ListedOnce().names(directory_fd, "a.log.")
    os.close(directory_fd)
    assert found == ["a.log.000007", "a.log.000007.idx", "a.log.1.log"]
