"""Fds of processes that we did not fork: asked for where somebody answers, else taken.

A worker answers in a fraction of a millisecond; one that is stopped or hangs accepts the connection and says nothing,
so all are asked at once and have one time-out together. Then pidfd_getfd copies an fd out of any process that we might
trace, asleep or not. It goes by numbers, and a number may stand for something else by then: the marks that the worker
wrote down tell.
"""

import array
import contextlib
import ctypes
import os
import select
import socket
import time
from collections.abc import Mapping

from msgspec import Struct, structs

from childproc.job import PipeFds, PtyFds
from childproc.worker import input_socket_path
from childproc.worker_record import WorkerRecord, mark, named
from ipc.errors import ProtocolError
from ipc.unix_socket import MAX_PACKET_BYTES, connect_seqpacket
from ipc.worker_messages import Goodbye, Hello, Lend, Lent, decode_from_worker, encode

ANSWER_MAX_S = 1.0
_CONNECT_MAX_S = 0.2
_FDS_MAX = 4
_SYS_PIDFD_GETFD = 438  # the same number on every architecture
_libc = ctypes.CDLL(None, use_errno=True)


class _NoAnswerError(Exception):
    pass


class Borrowed(Struct, frozen=True):
    pidfd: int
    fds: PtyFds | PipeFds


def ask(workers: Mapping[str, WorkerRecord], most_s: float = ANSWER_MAX_S) -> dict[str, Borrowed]:
    """By session; those that did not answer in time are missing."""
    got: dict[str, Borrowed] = {}
    poll = select.poll()
    asked: dict[int, tuple[str, socket.socket]] = {}
    with contextlib.ExitStack() as stack:
        for session, record in workers.items():
            if connection := _ask(record):
                asked[stack.enter_context(connection).fileno()] = session, connection
                poll.register(connection, select.POLLIN)
        deadline_s = time.monotonic() + most_s
        while asked and (ready := poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000)):
            for fd, _ in ready:
                session, connection = asked[fd]
                try:
                    answer = _receive(connection, workers[session])
                    if answer is None:
                        continue
                    got[session] = answer
                except _NoAnswerError:
                    pass
                poll.unregister(fd)
                del asked[fd]
    return got


def _ask(record: WorkerRecord) -> socket.socket | None:
    connection = None
    try:
        connection = connect_seqpacket(
            input_socket_path(record.job.runtime_dir, record.job.session), timeout_s=_CONNECT_MAX_S
        )
        connection.setblocking(False)
        connection.send(encode(Hello()))
        connection.send(encode(Lend()))
    except OSError:
        if connection:
            connection.close()
        return None
    return connection


def _receive(connection: socket.socket, record: WorkerRecord) -> Borrowed | None:
    """None: not yet."""
    fds: list[int] = []
    try:
        data, ancillary, _, _ = connection.recvmsg(
            MAX_PACKET_BYTES, socket.CMSG_SPACE(4 * _FDS_MAX), socket.MSG_CMSG_CLOEXEC
        )
        fds = _fds_of(ancillary)
        message = decode_from_worker(data) if data else Goodbye("")
    except BlockingIOError:
        return None
    except (OSError, ProtocolError) as error:
        _close(fds)
        raise _NoAnswerError from error
    match message:
        case Lent(epoch=epoch, streams=streams) if epoch == record.job.epoch and len(fds) == len(streams) + 1:
            return Borrowed(fds[0], _as_before(record, dict(zip(streams, fds[1:], strict=True))))
        case Lent() | Goodbye():
            _close(fds)
            raise _NoAnswerError
        case _:
            _close(fds)
            return None


def _fds_of(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _as_before(record: WorkerRecord, streams: Mapping[str, int]) -> PtyFds | PipeFds:
    """What the job had, under our own numbers; -1 for what is closed since."""
    assert record.job.fds is not None  # noqa: S101 - nobody asks a worker that has none
    return structs.replace(record.job.fds, **{name: streams.get(name, -1) for name in record.job.fds.__struct_fields__})


def take(worker_pidfd: int, record: WorkerRecord) -> Borrowed:
    """Without its help. PermissionError where we may not trace it."""
    streams: dict[str, int] = {}
    pidfd = _getfd(worker_pidfd, record.job.pidfd)
    try:
        for name, number in named(record.job.fds).items():
            with contextlib.suppress(OSError):
                fd = _getfd(worker_pidfd, number)
                if mark(fd) == record.marks[name]:
                    streams[name] = fd
                else:
                    os.close(fd)
    except BaseException:
        _close([pidfd, *streams.values()])
        raise
    return Borrowed(pidfd, _as_before(record, streams))


def _getfd(pidfd: int, number: int) -> int:
    fd = _libc.syscall(_SYS_PIDFD_GETFD, pidfd, number, 0)
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"pidfd_getfd of fd {number}: {os.strerror(ctypes.get_errno())}")
    return int(fd)


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
