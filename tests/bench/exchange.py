"""Two forked processes and a channel between them: messages/s one way, and the half round trip there and back.

The receiver says that it is ready before the sender's clock starts; the time ends with the receiver's last byte. Each
side reports what it measured through a pipe of its own, and lives until both have: a sender that leaves early takes
with it what its transport has not delivered (seen with pyzmq, also with an endless linger). Nothing is shared with
this process but what the channel made before the fork.
"""

import json
import os
import select
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tests.bench import family
from tests.bench.channel import Channel, Receiver, Transport
from tests.bench.rounds import percentile

EXCHANGE_MAX_S = 60.0
WARM_UP = 200
Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rate:
    messages_per_s: float
    mb_per_s: float
    sender_us: float  # CPU for each message
    receiver_us: float


@dataclass(frozen=True, slots=True)
class HalfTrip:
    p50_us: float
    p99_us: float


class ExchangeError(Exception):
    """One of the two sides failed, or did not end in time."""


def one_way(transport: Transport, work_dir: Path, message_bytes: int, count: int) -> Rate:
    with _Place(work_dir) as directory:
        channel = transport.channel(directory, message_bytes)
        said, heard = os.pipe()
        sent, got = _both(
            lambda: _send(channel, said, message_bytes, count),
            lambda: _receive(channel, heard, message_bytes * count),
            (said, heard),
        )
        channel.close()
    seconds = got["end_s"] - sent["start_s"]
    return Rate(
        count / seconds, count * message_bytes / seconds / 1e6, sent["cpu_s"] / count * 1e6, got["cpu_s"] / count * 1e6
    )


def half_trip(transport: Transport, work_dir: Path, message_bytes: int, count: int) -> HalfTrip:
    with _Place(work_dir) as directory:
        there, back = (_channel_in(transport, directory / name, message_bytes) for name in ("there", "back"))
        timed, _ = _both(
            lambda: _ping(there, back, message_bytes, count),
            lambda: _pong(there, back, message_bytes, count),
            (),
        )
        there.close()
        back.close()
    return HalfTrip(timed["p50_us"], timed["p99_us"])


class _Place:
    """A private directory; whatever ran in it is ended, then it is removed."""

    def __init__(self, work_dir: Path) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="ring-", dir=work_dir))

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *_error: object) -> None:
        family.sweep()
        shutil.rmtree(self._path, ignore_errors=True)


def _channel_in(transport: Transport, directory: Path, message_bytes: int) -> Channel:
    directory.mkdir()
    return transport.channel(directory, message_bytes)


def _send(channel: Channel, from_receiver: int, message_bytes: int, count: int) -> Report:
    message = bytes(message_bytes)
    os.read(from_receiver, 1)
    sender = channel.sender()
    send = sender.send
    start_s, cpu_s = time.monotonic(), time.process_time()
    for _ in range(count):
        send(message)
    sender.flush()
    os.read(from_receiver, 1)
    return {"start_s": start_s, "cpu_s": time.process_time() - cpu_s}


def _receive(channel: Channel, to_sender: int, total_bytes: int) -> Report:
    receive = channel.receiver().receive
    os.write(to_sender, b"r")
    cpu_s = time.process_time()
    while total_bytes > 0:
        for buffer in receive():
            total_bytes -= len(buffer)
    end_s = time.monotonic()
    os.write(to_sender, b"d")
    return {"end_s": end_s, "cpu_s": time.process_time() - cpu_s}


def _ping(there: Channel, back: Channel, message_bytes: int, count: int) -> Report:
    _take_core(0)
    sender, receiver = there.sender(), back.receiver()
    message = bytes(message_bytes)
    halves_us = []
    for _ in range(count + WARM_UP):
        start_ns = time.monotonic_ns()
        sender.send(message)
        _take(receiver, message_bytes)
        halves_us.append((time.monotonic_ns() - start_ns) / 2e3)
    timed = halves_us[WARM_UP:]
    return {"p50_us": percentile(timed, 0.5), "p99_us": percentile(timed, 0.99)}


def _pong(there: Channel, back: Channel, message_bytes: int, count: int) -> Report:
    _take_core(1)
    receiver, sender = there.receiver(), back.sender()
    message = bytes(message_bytes)
    for _ in range(count + WARM_UP):
        _take(receiver, message_bytes)
        sender.send(message)
    return {}


def _take_core(number: int) -> None:
    """On one core two sides answer ten times faster than on two: which it is must not be the scheduler's dice."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def _take(receiver: Receiver, size_bytes: int) -> None:
    while size_bytes > 0:
        for buffer in receiver.receive():
            size_bytes -= len(buffer)


def _both(first: Callable[[], Report], second: Callable[[], Report], shared_fds: tuple[int, ...]) -> list[Report]:
    leave, may_leave = os.pipe()
    reports = [_forked(side, may_leave, leave) for side in (first, second)]
    for fd in shared_fds:
        os.close(fd)
    try:
        return [_report(fd) for fd in reports]
    finally:
        for fd in (leave, may_leave, *reports):
            os.close(fd)


def _forked(side: Callable[[], Report], may_leave: int, leave: int) -> int:
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(may_leave)
        _run(side, writing, leave)
    os.close(writing)
    return reading


def _run(side: Callable[[], Report], writing: int, leave: int) -> NoReturn:
    """In the child: never returns into the command's own frames, whatever happens."""
    try:
        report = side()
    except BaseException:  # noqa: BLE001 - told to the parent
        report = {"failed": traceback.format_exc(limit=-2)}
    os.write(writing, json.dumps(report).encode())
    os.read(leave, 1)
    os._exit(0)


def _report(reading: int) -> Report:
    if not select.select([reading], [], [], EXCHANGE_MAX_S)[0]:
        raise ExchangeError(f"no end within {EXCHANGE_MAX_S:.0f} s")
    report: Report = json.loads(os.read(reading, 65536) or b'{"failed": "a side died"}')
    if "failed" in report:
        raise ExchangeError(report["failed"])
    return report
