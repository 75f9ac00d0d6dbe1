"""Unix sockets by path, also where the path is longer than the 107 bytes that the kernel's address holds.

A directory that is open has a short name under /proc/self/fd, and both bind and connect resolve it.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Callable

MAX_PACKET_BYTES = 1 << 17


def _at_short_path(path: str, act: Callable[[str], None]) -> None:
    directory, name = os.path.split(path)
    fd = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        act(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)


def listen_seqpacket(path: str, *, backlog: int = 64) -> socket.socket:
    return _listen(path, socket.SOCK_SEQPACKET, backlog)


def listen_stream(path: str, *, backlog: int = 128) -> socket.socket:
    return _listen(path, socket.SOCK_STREAM, backlog)


def _listen(path: str, kind: int, backlog: int) -> socket.socket:
    """Replaces what a dead predecessor left there, and has its name only once it listens. Ours alone: mode 0600."""
    unnamed = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(unnamed)
    sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
    try:
        before = os.umask(0o177)
        try:
            _at_short_path(unnamed, sock.bind)
        finally:
            os.umask(before)
        sock.listen(backlog)
        os.rename(unnamed, path)
    except BaseException:
        sock.close()
        raise
    return sock


def connect_seqpacket(path: str, *, timeout_s: float = 5.0) -> socket.socket:
    return _connect(path, socket.SOCK_SEQPACKET, timeout_s)


def connect_stream(path: str, *, timeout_s: float = 5.0) -> socket.socket:
    return _connect(path, socket.SOCK_STREAM, timeout_s)


def _connect(path: str, kind: int, timeout_s: float) -> socket.socket:
    """Waits for a place among those that wait to be accepted. A socket that is non-blocking, as any with a Python
    timeout is, would be refused at once (EAGAIN): the limit of the wait is the kernel's."""
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        limit = struct.pack("ll", int(timeout_s), int(timeout_s % 1 * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        try:
            _at_short_path(path, sock.connect)
        except BlockingIOError as error:
            raise TimeoutError(f"nobody accepted a connection to {path} within {timeout_s} s") from error
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 0))
        sock.settimeout(timeout_s)
    except BaseException:
        sock.close()
        raise
    return sock


def peer_uid(sock: socket.socket) -> int:
    """The user at the other end, as the kernel knows it."""
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def is_ours(sock: socket.socket) -> bool:
    return peer_uid(sock) in {0, os.geteuid()}
