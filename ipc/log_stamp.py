"""Line stamps: a second file, `web.stamped.log`, in which every line begins with the time its first byte came.

The log itself holds exactly the program's bytes. Stamps within it would need a map from file to stream for every
line, and each reader (verify, replay, `tail` on a recording) would have to undo them; a second file needs neither. It
is a copy for people: it has no index, it follows the log, and after a router was killed up to one write may be
missing in it. What could not be written is said in a line of its own, and rotation keeps one older file,
`web.stamped.log.1`.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ipc.log_directory import SessionUser, open_directory, open_regular
from ipc.log_kernel import Kernel
from ipc.log_retention import LogPolicy

_NS = 1_000_000_000
_OPEN = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class LineStamper:
    """Pure: bytes in, stamped bytes out. A line that comes in pieces gets one stamp."""

    __slots__ = ("_at_line_start",)

    def __init__(self) -> None:
        self._at_line_start = True

    def stamp(self, data: bytes, wall_ns: int) -> bytes:
        if not data:
            return b""
        mark = stamp_of(wall_ns)
        body, last = data[:-1], data[-1:]
        stamped = body.replace(b"\n", b"\n" + mark) + last
        if self._at_line_start:
            stamped = mark + stamped
        self._at_line_start = last == b"\n"
        return stamped


def stamp_of(wall_ns: int) -> bytes:
    second = datetime.fromtimestamp(wall_ns // _NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{second}.{wall_ns % _NS // 1_000_000:03d}Z ".encode()


def stamped_name(log: str) -> str:
    stem = log.removesuffix(".log")
    return f"{stem}.stamped.log"


class StampedCopy:
    __slots__ = ("_kernel", "_lost_bytes", "_name", "_policy", "_stamper")

    def __init__(self, log: str, policy: LogPolicy, kernel: Kernel) -> None:
        self._name = stamped_name(log)
        self._policy = policy
        self._kernel = kernel
        self._stamper = LineStamper()
        self._lost_bytes = 0

    def append(
        self, directory: str | Path, user: SessionUser | None, views: Sequence[memoryview], wall_ns: int
    ) -> None:
        """Opened for each write: it is for people, and so it survives whatever is done to it."""
        text = self._stamper.stamp(b"".join(views), wall_ns)
        if self._lost_bytes:
            text = b"\n[ringvisor: %d bytes are missing here]\n%s" % (self._lost_bytes, text)
        try:
            self._write(directory, user, text)
            self._lost_bytes = 0
        except OSError:
            self._lost_bytes += sum(map(len, views))

    def _write(self, directory: str | Path, user: SessionUser | None, text: bytes) -> None:
        directory_fd = open_directory(directory, user, self._kernel)
        try:
            fd = self._open(directory_fd)
            try:
                while text:
                    text = text[self._kernel.write(fd, text) :]
            finally:
                self._kernel.close(fd)
        finally:
            self._kernel.close(directory_fd)

    def _open(self, directory_fd: int) -> int:
        fd = open_regular(self._kernel, directory_fd, self._name, _OPEN, self._policy.mode)
        if self._policy.max_bytes is None or self._kernel.fstat(fd).st_size < self._policy.max_bytes:
            return fd
        self._kernel.close(fd)
        self._kernel.rename(self._name, self._name + ".1", src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
        return open_regular(self._kernel, directory_fd, self._name, _OPEN, self._policy.mode)
