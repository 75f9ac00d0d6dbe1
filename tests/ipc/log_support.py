"""What the tests of logs share: streams whose every byte is known, and kernels that stop or fail on demand."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.log_directory import list_parts
from ipc.log_kernel import Kernel
from ipc.log_reader import read_stream
from ipc.log_retention import LogPolicy
from ipc.log_sink import LogSink, Moment
from ipc.log_verify import LogReport, verify_log

LOG = "web.log"
SECOND_NS = 1_000_000_000
_opened: list[LogSink] = []
_STREAM = random.Random(7).randbytes(4 * 1024 * 1024)


class Crash(BaseException):
    """The process is gone at this system call."""


class CrashingKernel(Kernel):
    """Dies at its n-th system call: before it happens, or, if it writes and `torn`, after half of it."""

    def __init__(self, dies_at: int | None, *, torn: bool = False) -> None:
        self.calls = 0
        self.settled = 0  # bytes that the test saw settled before the end
        self._dies_at = dies_at
        self._torn = torn
        self._fds: set[int] = set()
        for name in ("flock", "fstat", "ftruncate", "lseek", "names", "pread", "rename", "stat", "write", "writev"):
            setattr(self, name, self._dying(name, getattr(Kernel(), name)))
        self.open = self._open  # type: ignore[method-assign]
        self.close = self._close  # type: ignore[method-assign]

    def _dying(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._count(name, args)
            return real(*args, **kwargs)

        return call

    def _count(self, name: str, args: tuple[Any, ...]) -> None:
        self.calls += 1
        if self._dies_at is None or self.calls != self._dies_at:
            return
        if self._torn and name in {"write", "writev"}:
            data = b"".join(args[1]) if name == "writev" else bytes(args[1])
            os.write(args[0], data[: len(data) // 2])
        raise Crash

    def _open(self, *args: Any, **kwargs: Any) -> int:
        self._count("open", args)
        fd = os.open(*args, **kwargs)
        self._fds.add(fd)
        return fd

    def _close(self, fd: int) -> None:
        if self._dies_at is None or self.calls < self._dies_at:
            self._count("close", (fd,))
        self._fds.discard(fd)
        os.close(fd)

    def bury(self) -> None:
        """The kernel closes what a dead process had open, which frees its locks."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        self.close = lambda _: None  # type: ignore[method-assign, assignment]


class FailingKernel(Kernel):
    """Calls fail with an errno as long as they are named in `failing`."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}
        self.before: dict[str, Callable[[], None]] = {}
        for name in ("open", "pread", "write", "writev", "rename"):
            setattr(self, name, self._failing(name, getattr(Kernel, name)))

    def _failing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name in self.before:
                self.before.pop(name)()
            if name in self.failing:
                raise OSError(self.failing[name], os.strerror(self.failing[name]))
            return real(*args, **kwargs)

        return call


def at(second: float) -> Moment:
    """A moment of a test's own time."""
    return Moment(1_700_000_000 * SECOND_NS + int(second * SECOND_NS), int(second * SECOND_NS))


def stream(epoch: int, start: int, end: int) -> bytes:
    """What the program wrote in this epoch from `start` up to `end`."""
    base = epoch * 100_003 % 1_000_000
    return _STREAM[base + start : base + end]


def put(sink: LogSink, epoch: int, start: int, end: int, second: float = 0.0) -> int:
    return sink.append(epoch, start, [memoryview(stream(epoch, start, end))], at(second))


def open_sink(directory: Path, second: float = 0.0, *, kernel: Kernel | None = None, **policy: Any) -> LogSink:
    sink = LogSink.open(directory, LOG, LogPolicy(**policy), at(second), kernel=kernel or Kernel())
    _opened.append(sink)
    return sink


def kill(sink: LogSink) -> None:
    """What SIGKILL leaves: the files as they are, the locks gone."""
    if sink._part is not None:
        sink._part.shut()
        sink._part = None


@pytest.fixture(autouse=True)
def no_sink_left_open() -> Iterator[None]:
    yield
    while _opened:
        kill(_opened.pop())


def contents(directory: Path, log: str = LOG) -> bytes:
    """The bytes of all parts, in order."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        parts = [files.plain for files in list_parts(fd, log) if files.plain]
    finally:
        os.close(fd)
    names = [*parts, log]
    return b"".join((directory / name).read_bytes() for name in names if (directory / name).exists())


def report_of(directory: Path, log: str = LOG) -> LogReport:
    return verify_log(directory, log)


def gaps_of(directory: Path) -> list[tuple[int, int, int, str]]:
    return [(gap.epoch, gap.start, gap.end, gap.why.name) for gap in report_of(directory).gaps]


def assert_holds(directory: Path, epoch: int, start: int, end: int) -> None:
    """`read_stream` gives these bytes, all of them, each once."""
    offset = start
    for found, data in read_stream(directory, LOG, epoch, start, end):
        assert found == offset
        assert data == stream(epoch, found, found + len(data))
        offset += len(data)
    assert offset == end


def rotated_names(directory: Path) -> list[str]:
    return sorted(
        entry.name for entry in directory.iterdir() if entry.name.startswith(LOG + ".") and entry.suffix != ".idx"
    )
