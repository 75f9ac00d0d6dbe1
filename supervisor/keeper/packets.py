"""Packets over a SEQPACKET socket, of any size up to a limit, with fds.

Facts. A packet must fit into the socket's send buffer, 208 KiB unless one is privileged, and an environment alone may
be larger. `socket.recv_fds` of CPython 3.11 ignores its flags: what it receives is inheritable, and a program that is
exec'ed later would hold it. Fds that find no room in the receiver's table are dropped with MSG_CTRUNC.

Design. The first byte says how the rest came: inline, or in a memfd that travels with the packet as its first fd and is
read, never mapped, so that a sender who truncates it harms nobody.
"""

import array
import os
import socket
from collections.abc import Sequence

from msgspec import Struct

INLINE = b"I"
IN_MEMORY = b"M"
_INLINE_MAX = 32 << 10
_FDS_MAX = 16


class BrokenPacketError(Exception):
    """The peer sent what no honest peer sends, or its fds found no room."""


class Packet(Struct, frozen=True):
    payload: bytes
    fds: tuple[int, ...]


def send(connection: socket.socket, payload: bytes, fds: Sequence[int] = ()) -> None:
    """All or nothing: BlockingIOError when the other side does not read, BrokenPipeError when it is gone."""
    if len(payload) <= _INLINE_MAX:
        _send(connection, INLINE + payload, fds)
        return
    memory = os.memfd_create("packet", os.MFD_CLOEXEC)
    try:
        write_all(memory, payload)
        _send(connection, IN_MEMORY, (memory, *fds))
    finally:
        os.close(memory)


def receive(connection: socket.socket, max_bytes: int) -> Packet | None:
    """The next packet, None at the end of the connection."""
    try:
        data, ancillary, flags, _ = _receive(connection)
    except ConnectionResetError:
        # It closed with something unread. That is told once, and before what it had sent: look again.
        data, ancillary, flags, _ = _receive(connection)
    fds = _received_fds(ancillary)
    try:
        return _unpack(data, flags, fds, max_bytes)
    except (BrokenPacketError, OSError) as error:
        close_all(fds)
        raise BrokenPacketError(str(error)) from error


def _unpack(data: bytes, flags: int, fds: list[int], max_bytes: int) -> Packet | None:
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise BrokenPacketError("a packet was too long, or its fds found no room")
    match data[:1]:
        case b"":
            return None
        case b"I":
            return Packet(data[1:], tuple(fds))
        case b"M" if fds:
            payload = _read_memory(fds[0], max_bytes)
            os.close(fds.pop(0))
            return Packet(payload, tuple(fds))
        case kind:
            raise BrokenPacketError(f"unknown kind of packet {kind!r}")


def write_all(fd: int, payload: bytes) -> None:
    rest = memoryview(payload)
    while rest:
        rest = rest[os.write(fd, rest) :]


def close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _send(connection: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connection.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)


def _receive(connection: socket.socket) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
    return connection.recvmsg(_INLINE_MAX + 1, socket.CMSG_SPACE(4 * _FDS_MAX), socket.MSG_CMSG_CLOEXEC)


def _received_fds(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _read_memory(fd: int, max_bytes: int) -> bytes:
    """What has a size is a file: a read of anything else might wait."""
    size = os.fstat(fd).st_size
    if not 0 < size <= max_bytes:
        raise BrokenPacketError(f"a packet of {size} bytes, at most {max_bytes} are allowed")
    return os.pread(fd, size, 0)
