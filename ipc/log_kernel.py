"""The system calls a log is written with, in one place that a test can stop at any of them."""

import fcntl
import os
from bisect import bisect_left
from itertools import islice, takewhile


class Kernel:
    close = staticmethod(os.close)
    flock = staticmethod(fcntl.flock)
    fstat = staticmethod(os.fstat)
    ftruncate = staticmethod(os.ftruncate)
    lseek = staticmethod(os.lseek)
    open = staticmethod(os.open)
    pread = staticmethod(os.pread)
    rename = staticmethod(os.rename)
    stat = staticmethod(os.stat)
    write = staticmethod(os.write)
    writev = staticmethod(os.writev)

    def names(self, directory_fd: int, prefix: str) -> list[str]:
        """Of the files in a directory whose names begin so."""
        return [name for name in os.listdir(directory_fd) if name.startswith(prefix)]


class ListedOnce(Kernel):
    """For a thousand logs that are opened one after the other: what else lies in their directory is looked at once,
    and again after `forget`, and once a part was renamed."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, int], list[str]] = {}

    def names(self, directory_fd: int, prefix: str) -> list[str]:
        info = os.fstat(directory_fd)
        directory = info.st_dev, info.st_ino
        if directory not in self._names:
            self._names[directory] = sorted(os.listdir(directory_fd))
        names = self._names[directory]
        return list(takewhile(lambda name: name.startswith(prefix), islice(names, bisect_left(names, prefix), None)))

    def rename(self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:  # type: ignore[override]
        self.forget()
        os.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def forget(self) -> None:
        self._names.clear()


KERNEL = Kernel()
