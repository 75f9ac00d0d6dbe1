"""A program that closes its terminal and lives on."""

import select

import pytest

from ipc.frames import EndReason

_CLOSE_AND_WAIT = """
import os, sys
os.write(1, b'before')
for fd in (0, 1, 2): os.close(fd)
with open(sys.argv[1]) as go: go.read()
for word in (b'one', b'two'):
    tty = os.open('/dev/tty', os.O_WRONLY | os.O_NOCTTY)
    os.write(tty, word)
    os.close(tty)
    with open(sys.argv[1]) as go: go.read()
"""


@pytest.fixture
def hung_up(rig, fifo):
    session = rig(["python3", "-S", "-c", _CLOSE_AND_WAIT, fifo])
    session.go = lambda: open(fifo, "w").close()
    session.until(lambda: session.out.data == b"before")
    session.until(lambda: is_watched_by_edges(session), look_every_s=0.002)
    return session


def is_watched_by_edges(session) -> bool:
    return bool(session.poll_masks().get(session.master, 0) & select.EPOLLET)


def test_the_worker_sleeps_while_the_terminal_hangs_up(hung_up):
    """A hang-up is reported once, not all the time: no CPU is used until something happens."""
    hung_up.until_idle_for(0.3)


def test_it_speaks_through_dev_tty_again_and_again(hung_up):
    """The session goes on as long as its leader lives, hang-up or not."""
    for heard in (b"beforeone", b"beforeonetwo"):
        hung_up.go()
        hung_up.until(lambda heard=heard: hung_up.out.data == heard)
        hung_up.until(lambda: is_watched_by_edges(hung_up), look_every_s=0.002)
    hung_up.go()
    hung_up.until_ended()
    assert hung_up.ledger.end() is EndReason.EOF


def test_input_while_nobody_has_the_terminal_open(hung_up):
    """Answered, not kept for ever; the worker lives on. (In the moment in which the last fd goes, the kernel still
    takes it, and keeps it for who opens the terminal next.)"""
    client = hung_up.connect()
    request = client.type(b"anybody?\n")
    hung_up.until(lambda: client.has_answers([request]))
    hung_up.go()
    hung_up.until(lambda: b"one" in hung_up.out.data)
