"""Sleeping until files change. The kernel tells; nobody looks at a clock."""

import contextlib
import ctypes
import os
from typing import Self

MODIFIED, RENAMED, CREATED, MOVED_HERE, DELETED = 0x2, 0x800, 0x100, 0x80, 0x400
OF_A_FILE = MODIFIED | RENAMED | DELETED
OF_A_DIRECTORY = CREATED | MOVED_HERE
_EVENTS_BYTES = 1 << 16


class Inotify:
    """Says that something changed, not what: whoever is told looks for himself."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise _failure("fs.inotify.max_user_instances")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def watch(self, path: str, mask: int) -> None:
        """Again for the same file is no harm."""
        if self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask) < 0:
            raise _failure(path)

    def forget_events(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, _EVENTS_BYTES)


def _failure(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
