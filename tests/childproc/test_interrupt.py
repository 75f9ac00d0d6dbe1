"""Ctrl-C, Ctrl-\\ and Ctrl-Z get through, whatever the program has left unread."""

import signal

import pytest

from ipc import ring_layout as at
from ipc.worker_messages import Discarded, Written
from tests.support.worker_process import lines

# Reads nothing until a signal comes; then says which, and echoes the next line.
_STUBBORN = """
import os, signal, sys
def hear(number, frame):
    os.write(1, b'<%d>' % number)
    os.write(1, os.read(0, 10000))
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP): signal.signal(number, hear)
os.write(1, b'ready')
while True: signal.pause()
"""
_CHARS = {signal.SIGINT: b"\x03", signal.SIGQUIT: b"\x1c", signal.SIGTSTP: b"\x1a"}
_CANONICAL, _CHARACTERS = "-echo", "cbreak -echo"


@pytest.fixture
def stubborn(rig):
    def start(modes: str):
        session = rig(["sh", "-c", f'stty {modes}; exec python3 -S -c "$0"', _STUBBORN])
        session.until(lambda: session.out.data == b"ready")
        session.out.data.clear()
        return session, session.connect()

    return start


@pytest.mark.parametrize("modes", [_CANONICAL, _CHARACTERS])
@pytest.mark.parametrize("number", _CHARS)
@pytest.mark.parametrize("pasted_bytes", [0, 100, 10_000, 1 << 20])
def test_it_gets_through(stubborn, modes, number, pasted_bytes):
    """Nothing unread, a little, the kernel's buffers full, our queue full too: the signal comes, what was typed before
    it is gone, and what is typed after it arrives."""
    session, client = stubborn(modes)
    pasted = client.paste(lines(pasted_bytes))
    interrupt = client.type(_CHARS[number])
    session.until(lambda: session.out.data == b"<%d>" % number)
    session.until(lambda: client.has_answers([*pasted, interrupt]))
    assert isinstance(client.answers[interrupt], Written)
    after = client.type(b"after\n")
    session.until(lambda: session.out.data == b"<%d>after\r\n" % number and after in client.answers)
    assert isinstance(client.answers[after], Written)
    if pasted_bytes == 1 << 20:
        assert isinstance(client.answers[pasted[-1]], Discarded)
    else:
        assert all(isinstance(client.answers[request], Written) for request in pasted)


def test_it_sweeps_away_what_others_pasted_and_tells_them(stubborn):
    """Answers go to whom they belong, also when a new client has the fd of one that has gone."""
    session, first = stubborn(_CHARACTERS)
    second = session.connect()
    pasted = first.paste(lines(1 << 20))
    lost = second.paste(lines(1 << 16))
    session.until(lambda: session.words()[at.W_INPUT_OFFSET], look_every_s=0.002)
    sockets = session.worker_sockets()
    second.close()
    session.until(lambda: session.worker_sockets() < sockets, look_every_s=0.002)
    third = session.connect()
    interrupt = third.type(b"\x03")
    session.until(lambda: first.has_answers(pasted) and third.has_answers([interrupt]))
    assert isinstance(first.answers[pasted[-1]], Discarded)
    assert lost == [interrupt], "the same number, sent by somebody else"
    assert isinstance(third.answers[interrupt], Written)


def test_in_raw_mode_it_is_a_byte(rig):
    """Queued behind the others, and no signal."""
    session = rig(["sh", "-c", "stty raw -echo; echo ready; exec cat"])
    session.until(lambda: session.out.data == b"ready\n")
    session.connect().type(b"\x03")
    session.until(lambda: session.out.data == b"ready\n\x03")


def test_the_character_is_the_terminals_own(rig):
    """`stty intr` decides what Ctrl-C is."""
    session = rig(["sh", "-c", "stty -echo intr ^A; echo ready; exec sleep 1000"])
    session.until(lambda: b"ready" in session.out.data)
    client = session.connect()
    client.paste(b"line\n" * (1 << 18))
    client.type(b"\x03")
    client.type(b"\x01")
    session.until_ended()
    assert session.program_status == -signal.SIGINT
