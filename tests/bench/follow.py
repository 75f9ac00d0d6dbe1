"""How late a line arrives in its file: the producer's clock stands in each line, inotify says when the file grew.

Only some of the logs are followed, so that following does not become the load. The clock is read after the line was,
on a machine that the fleet keeps busy, so the follower's own wake-up is part of every number: they are upper
bounds."""

import ctypes
import os
import select
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.producer import STAMPED_BYTES

IN_MODIFY = 0x2
IN_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
EVENT = struct.Struct("iIII")
LIBC = ctypes.CDLL(None, use_errno=True)


class Follower:
    """Collects `lags_ms` of the lines that are appended to these files."""

    def __init__(self, logs: Sequence[Path]) -> None:
        self.lags_ms: list[float] = []
        self._inotify = LIBC.inotify_init1(IN_NONBLOCK_CLOEXEC)
        self._files = {self._watch(log): log.open("rb", buffering=0) for log in logs}
        self._pending = dict.fromkeys(self._files, b"")

    def _watch(self, log: Path) -> int:
        log.touch()
        watch: int = LIBC.inotify_add_watch(self._inotify, os.fsencode(log), IN_MODIFY)
        if watch < 0:
            raise OSError(ctypes.get_errno(), f"inotify_add_watch {log}")
        return watch

    def run(self, ended: Callable[[], bool], look_every_s: float) -> None:
        poll = select.poll()
        poll.register(self._inotify, select.POLLIN)
        next_look_s = time.monotonic() + look_every_s
        while True:
            poll.poll(look_every_s * 1000)
            for watch in self._grown():
                self._read(watch)
            if (now_s := time.monotonic()) >= next_look_s:
                next_look_s = now_s + look_every_s
                if ended():
                    return

    def _grown(self) -> set[int]:
        try:
            events = os.read(self._inotify, 65536)
        except BlockingIOError:
            return set()
        return {watch for watch, _mask, _cookie, _length in EVENT.iter_unpack(events)}

    def _read(self, watch: int) -> None:
        read = self._files[watch].read(1 << 20) or b""
        now_ns = time.monotonic_ns()
        text = self._pending[watch] + read
        whole_bytes = len(text) // STAMPED_BYTES * STAMPED_BYTES
        for start in range(0, whole_bytes, STAMPED_BYTES):
            self.lags_ms.append((now_ns - int(text[start : start + 20])) / 1e6)
        self._pending[watch] = text[whole_bytes:]

    def close(self) -> None:
        os.close(self._inotify)
        for file in self._files.values():
            file.close()


def lines_in_order(log: Path, skip_bytes: int) -> int:
    """How many lines a log holds from number 0 on, without a gap and without a double."""
    count = 0
    with log.open("rb") as file:
        file.seek(skip_bytes)
        while len(line := file.read(STAMPED_BYTES)) == STAMPED_BYTES and int(line[21:31]) == count:
            count += 1
    return count
