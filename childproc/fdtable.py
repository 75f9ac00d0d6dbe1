"""Close whatever is not ours to keep.

close_range(2) is called by its number, whatever the libc knows: os.closerange of an interpreter built
against an old glibc closes one number after the other up to the limit, which may be a million. Before Linux
5.9 the list of open fds does.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterable

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_CLOSE_RANGE = 436  # the same number on every architecture
_LAST_FD = 2**31 - 1


def close_all_except(keep: Iterable[int]) -> None:
    first = 0
    for fd in sorted(set(keep)):
        if first < fd:
            _close_range(first, fd - 1)
        first = fd + 1
    _close_range(first, _LAST_FD)


def _close_range(first: int, last: int) -> None:
    if _libc.syscall(_SYS_CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(last), 0) == 0:
        return
    for fd in map(int, os.listdir("/proc/self/fd")):
        if first <= fd <= last:
            with contextlib.suppress(OSError):
                os.close(fd)
