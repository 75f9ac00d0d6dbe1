"""Packets of any size, with fds, over a socket that takes 208 KiB at a time."""

import os
import socket
from collections.abc import Iterator

import pytest

from supervisor.keeper import packets

LIMIT = 1 << 20


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("size", [0, 1, packets._INLINE_MAX, packets._INLINE_MAX + 1, LIMIT])
def test_what_is_sent_is_received(pair, size):
    """Whether it travels inline or in memory."""
    payload = os.urandom(size)
    packets.send(pair[0], payload)
    assert packets.receive(pair[1], LIMIT) == packets.Packet(payload, ())


@pytest.mark.parametrize("size", [10, 100_000])
def test_fds_travel_too_and_are_not_inheritable(pair, size):
    """A received fd that a program inherited would keep sockets open that are meant to close."""
    read_end, write_end = os.pipe()
    packets.send(pair[0], b"x" * size, [write_end])
    received = packets.receive(pair[1], LIMIT)
    os.close(write_end)
    assert received
    assert not os.get_inheritable(received.fds[0])
    os.write(received.fds[0], b"through")
    assert os.read(read_end, 10) == b"through"
    packets.close_all([*received.fds, read_end])


def test_nothing_more_is_the_end(pair):
    """Closed is None, not an empty packet."""
    pair[0].close()
    assert packets.receive(pair[1], LIMIT) is None


def test_the_last_words_of_one_who_closed_without_listening_are_heard(pair):
    """Closing with something unread resets the connection: told first, once, and before what was sent."""
    packets.send(pair[1], b"never read")
    packets.send(pair[0], b"goodbye")
    pair[0].close()
    assert packets.receive(pair[1], LIMIT) == packets.Packet(b"goodbye", ())
    assert packets.receive(pair[1], LIMIT) is None


@pytest.mark.parametrize("data", [b"?", b"M", b"I" + b"x" * packets._INLINE_MAX + b"x"])
def test_broken_packets_are_refused(pair, data):
    """An unknown kind, a memory that did not come, one that is too long."""
    pair[0].send(data)
    with pytest.raises(packets.BrokenPacketError):
        packets.receive(pair[1], LIMIT)


def test_a_memory_above_the_limit_is_refused_and_closed(pair):
    """A peer does not decide how much we read; the autouse fixture sees to the fds."""
    packets.send(pair[0], b"x" * (LIMIT + 1))
    with pytest.raises(packets.BrokenPacketError, match="at most"):
        packets.receive(pair[1], LIMIT)


def test_a_pipe_in_place_of_a_memory_is_refused(pair):
    """Reading it might wait for ever."""
    read_end, write_end = os.pipe()
    packets._send(pair[0], packets.IN_MEMORY, [read_end])
    packets.close_all([read_end, write_end])
    with pytest.raises(packets.BrokenPacketError):
        packets.receive(pair[1], LIMIT)


def test_nobody_waits_for_one_who_does_not_read(pair):
    """A full socket is BlockingIOError, and nothing of the packet is sent."""
    pair[0].setblocking(False)
    with pytest.raises(BlockingIOError):  # noqa: PT012 - which of them fills it is the business of the kernel
        for _ in range(1000):
            packets.send(pair[0], b"x" * 30_000)
