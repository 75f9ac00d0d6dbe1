"""Reading a program's output: what an answer of the kernel proves."""

import os
import tty

import pytest

from childproc.source import Pumped, Source, pipe_source, terminal_source
from ipc.frames import Kind
from tests.support.memory_ring import MemoryRing


@pytest.fixture
def writer():
    return MemoryRing().writer()


@pytest.fixture
def terminal():
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    yield master, slave
    os.close(master)
    os.close(slave)


@pytest.fixture
def pipe():
    read_end, write_end = os.pipe2(os.O_NONBLOCK)
    yield read_end, write_end
    os.close(read_end)
    os.close(write_end)


@pytest.fixture
def answers(monkeypatch):
    """What the kernel said to each read."""
    heard, readv = [], os.readv

    def listening(fd, buffers):
        try:
            heard.append(readv(fd, buffers))
        except OSError as error:
            heard.append(type(error))
            raise
        return heard[-1]

    monkeypatch.setattr(os, "readv", listening)
    return heard


def source_of(kind: str, fd: int) -> Source:
    return terminal_source(fd) if kind == "terminal" else pipe_source(fd, Kind.OUT)


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_a_short_read_saves_the_second_one(request, writer, answers, kind):
    """While the program lives nothing depends on it."""
    ours, theirs = request.getfixturevalue(kind)
    source = source_of(kind, ours)
    os.write(theirs, b"word")
    assert source.pump(writer) is Pumped.EMPTY
    assert answers == [4]


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_in_doubt_only_a_refused_read_is_the_end(request, writer, answers, kind):
    """EMPTY is a proof then: the kernel was asked once more."""
    ours, theirs = request.getfixturevalue(kind)
    source = source_of(kind, ours)
    source.doubt_short_reads()
    os.write(theirs, b"word")
    assert source.pump(writer) is Pumped.EMPTY
    assert answers == [4, BlockingIOError]


def test_several_reads_make_one_frame(writer, terminal, answers):
    """A terminal gives at most 4095 bytes at a time."""
    ours, theirs = terminal
    os.set_blocking(theirs, False)
    written = os.write(theirs, b"x" * 9000)
    source = terminal_source(ours)
    source.doubt_short_reads()
    source.pump(writer)
    assert len(answers) > 2
    assert (writer.seq, writer.out_offset) == (1, written)


def test_a_pipe_ends_for_good_and_a_terminal_may_be_opened_again(writer, terminal, pipe):
    """End of file is final; EIO is not."""
    read_end, _ = pipe
    unheld, held = os.pipe()
    os.dup2(unheld, read_end)
    os.close(held)
    os.close(unheld)
    ended = pipe_source(read_end, Kind.OUT)
    assert (ended.pump(writer), ended.open, ended.finished) == (Pumped.ENDED, False, True)
    master, slave = terminal
    name = os.ttyname(slave)
    with open(os.devnull) as elsewhere:
        os.dup2(elsewhere.fileno(), slave)
    source = terminal_source(master)
    assert (source.pump(writer), source.open, source.finished) == (Pumped.ENDED, False, False)
    again = os.open(name, os.O_WRONLY | os.O_NOCTTY)
    os.write(again, b"back")
    assert (source.pump(writer), source.open) == (Pumped.EMPTY, True)
    os.close(again)
