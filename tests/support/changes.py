"""Wait for something to happen in a directory: a condition is looked at again after each change."""

import ctypes
import os
import select
import struct
from collections.abc import Callable, Iterator
from typing import Self

_IN_MODIFY, _IN_CREATE, _IN_MOVED_TO, _IN_DELETE = 0x2, 0x100, 0x80, 0x200
_libc = ctypes.CDLL(None, use_errno=True)


class Changes:
    """Begins to watch when it is made, so that nothing is missed between a look and the wait."""

    def __init__(self, directory: str) -> None:
        self._fd = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        mask = _IN_MODIFY | _IN_CREATE | _IN_MOVED_TO | _IN_DELETE
        if _libc.inotify_add_watch(self._fd, os.fsencode(directory), mask) < 0:
            raise OSError(ctypes.get_errno(), f"inotify_add_watch {directory}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def wait(self, patience_s: float) -> list[str]:
        """Names of what was removed, among all that changed."""
        if not select.select([self._fd], [], [], patience_s)[0]:
            raise TimeoutError("nothing changed")
        return [name for mask, name in _events(os.read(self._fd, 65536)) if mask & _IN_DELETE]


def _events(data: bytes) -> Iterator[tuple[int, str]]:
    while data:
        _, mask, _, length = struct.unpack_from("iIII", data)
        yield mask, os.fsdecode(data[16 : 16 + length].rstrip(b"\0"))
        data = data[16 + length :]


def wait_until(directory: str, holds: Callable[[], bool], patience_s: float = 20.0) -> None:
    with Changes(directory) as changes:
        while not holds():
            changes.wait(patience_s)
