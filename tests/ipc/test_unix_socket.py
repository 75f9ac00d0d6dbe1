"""Unix sockets by path: long names, stale files, crowds."""

import os
import socket

import pytest

from ipc.unix_socket import connect_seqpacket, is_ours, listen_seqpacket, peer_uid


@pytest.fixture
def long_path(tmp_path):
    """Beyond what a socket's address holds."""
    directory = tmp_path / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    return f"{directory}/{'n' * 64}.sock"


def test_a_path_longer_than_an_address(long_path):
    """Bound, connected, and under its own name."""
    assert len(long_path) > 107
    with listen_seqpacket(long_path) as listener, connect_seqpacket(long_path) as client:
        server, _ = listener.accept()
        with server:
            client.send(b"packet")
            assert server.recv(100) == b"packet"
            assert peer_uid(server) == os.geteuid()
            assert is_ours(server)
    assert os.listdir(os.path.dirname(long_path)) == [os.path.basename(long_path)]


def test_a_dead_predecessors_file_is_replaced(tmp_path):
    """And the half-made one of a predecessor that was killed while it made it."""
    path = f"{tmp_path}/s.sock"
    listen_seqpacket(path).close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as half:
        half.bind(path + ".new")
    with pytest.raises(ConnectionRefusedError):
        connect_seqpacket(path)
    with listen_seqpacket(path), connect_seqpacket(path):
        assert os.listdir(tmp_path) == ["s.sock"]


def test_for_us_alone(tmp_path):
    """Whatever the umask, which is left as it was."""
    before = os.umask(0)
    try:
        with listen_seqpacket(f"{tmp_path}/s.sock"):
            assert os.stat(tmp_path / "s.sock").st_mode & 0o777 == 0o600
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_a_place_in_the_queue_is_waited_for_but_not_for_ever(tmp_path):
    """With nobody to accept: a time-out that says so."""
    path = f"{tmp_path}/s.sock"
    with listen_seqpacket(path, backlog=0), connect_seqpacket(path, timeout_s=0.1) as first:
        with pytest.raises(TimeoutError, match="nobody accepted"):
            connect_seqpacket(path, timeout_s=0.1)
        assert first.gettimeout() == 0.1


def test_nothing_there(tmp_path):
    """No socket, no directory: the usual error."""
    for path in (f"{tmp_path}/none.sock", f"{tmp_path}/none/none.sock"):
        with pytest.raises(FileNotFoundError):
            connect_seqpacket(path)
