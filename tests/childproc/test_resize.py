"""A terminal's size: told to the ring before the program can draw for it, storms coalesced."""

import termios

import pytest

from childproc.spec import Io
from ipc import ring_layout as at
from ipc.frames import Kind, Resize, decode_resize

_DRAWS = """
import os, signal
def draw(*_): os.write(1, b'[%dx%d]' % os.get_terminal_size(0))
signal.signal(signal.SIGWINCH, draw)
draw()
while True: signal.pause()
"""
START = Resize(80, 24)


@pytest.fixture
def drawing(rig):
    session = rig(["python3", "-S", "-c", _DRAWS])
    session.until(lambda: session.out.data == b"[80x24]")
    return session


def sizes(session) -> list[Resize]:
    return [decode_resize(event.payload) for event in session.ledger.of_kind(Kind.RESIZE)]


def terminal_size(session) -> Resize:
    rows, cols = termios.tcgetwinsize(session.master)
    return Resize(cols, rows)


def test_the_ring_knows_before_the_program_draws(drawing):
    """Nothing that was drawn for the new size stands before its frame."""
    drawing.connect().resize(100, 30)
    drawing.until(lambda: drawing.out.data.endswith(b"[100x30]"))
    (frame,) = drawing.ledger.of_kind(Kind.RESIZE)
    assert (frame.offset, decode_resize(frame.payload)) == (len("[80x24]"), Resize(100, 30))


def test_a_storm_of_resizes(drawing):
    """A thousand wishes, a few frames, and the last one is what the terminal has."""
    client = drawing.connect()
    for number in range(1000):
        client.resize(81 + number, 25)
    drawing.until(lambda: drawing.out.data.endswith(b"[1080x25]"))
    assert sizes(drawing)[-1] == terminal_size(drawing) == Resize(1080, 25)
    assert len(sizes(drawing)) < 20
    assert drawing.out.data.count(b"[") <= len(sizes(drawing)) + 1
    drawing.until_idle_for(0.2)


def test_the_same_size_is_no_event(drawing):
    """No frame, no signal."""
    client = drawing.connect()
    client.resize(*START)
    client.resize(90, 24)
    drawing.until(lambda: drawing.out.data.endswith(b"[90x24]"))
    client.resize(90, 24)
    client.resize(91, 24)
    drawing.until(lambda: drawing.out.data.endswith(b"[91x24]"))
    assert sizes(drawing) == [Resize(90, 24), Resize(91, 24)]


def test_a_size_that_the_program_changed_itself(rig):
    """What `stty` did behind our back is no reason to skip a wish."""
    session = rig(["sh", "-c", "stty cols 70; echo ready; exec cat"])
    session.until(lambda: session.out.data.startswith(b"ready"))
    client = session.connect()
    assert client.greeting.cols == 70
    client.resize(*START)
    session.until(lambda: sizes(session) == [START])
    session.until(lambda: terminal_size(session) == START, look_every_s=0.002)


def test_in_a_full_ring_it_waits_for_room(rig):
    """Asleep until the reader moves; then the frame comes first and the terminal follows."""
    session = rig(["yes"])
    session.reading = False
    session.until(session.is_held_back, look_every_s=0.002)
    session.connect().resize(100, 30)
    session.until_idle_for(0.2)
    assert terminal_size(session) == START
    session.reading = True
    session.until(lambda: sizes(session) == [Resize(100, 30)])
    session.until(lambda: terminal_size(session) == Resize(100, 30), look_every_s=0.002)


def test_in_a_ring_whose_reader_has_failed(rig):
    """The stall limit frees the terminal too."""
    session = rig(["yes"], stall_max_s=0.3)
    session.reading = False
    session.until(session.is_held_back, look_every_s=0.002)
    session.connect().resize(100, 30)
    session.until(lambda: terminal_size(session) == Resize(100, 30), look_every_s=0.002)


def test_in_a_full_ring_that_drops_its_newest(rig):
    """The program runs on, the wish waits for a reader, and nothing of it costs CPU once the program is quiet."""
    session = rig(["sh", "-c", "head -c 1000000 /dev/zero; exec cat"], policy=at.Policy.DROP_NEWEST)
    session.reading = False
    session.until(lambda: session.words()[at.W_TALLY_SELECT + 1 + 4] > 0, look_every_s=0.002)
    session.connect().resize(100, 30)
    session.until(session.worker_sleeps, look_every_s=0.002)
    session.until_idle_for(0.2)
    session.reading = True
    session.until(lambda: sizes(session) == [Resize(100, 30)])


def test_pipes_have_no_size(rig):
    """A wish without a terminal is nothing."""
    session = rig(["cat"], io=Io.PIPE)
    client = session.connect()
    assert (client.greeting.cols, client.greeting.rows) == (0, 0)
    client.resize(100, 30)
    client.type(b"x")
    session.until(lambda: session.out.data == b"x")
    assert sizes(session) == []
