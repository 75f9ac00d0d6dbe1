"""The index of the part being written: loaded from its end, added to, flushed in one write.

Records wait in the outbox until they must be in the file: before bytes of the log, or when they are due. What is in
memory only is made again from the files by whoever opens the part next.
"""

import errno
import fcntl
import os
from typing import Self

from ipc.log_directory import open_regular
from ipc.log_index import RECORD_BYTES, Header, Record, decode_header, encode, encode_header, slots
from ipc.log_kernel import Kernel

_TAIL_RECORDS = 64  # enough to find the last block; the rest of the index is read by nobody but a reader
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT


class IndexFile:
    """The index of the part being written. Its lock keeps a second writer out, and goes with its holder."""

    __slots__ = ("_count", "_fd", "_kernel", "_outbox", "header", "records")

    def __init__(self, kernel: Kernel, fd: int) -> None:
        self._kernel = kernel
        self._fd = fd
        self._outbox = bytearray()
        self._count = 0  # slots in the file, the header's among them
        self.header: Header | None = None
        self.records: list[Record] = []  # the last ones

    @classmethod
    def open(cls, kernel: Kernel, directory_fd: int, name: str, mode: int) -> Self:
        index = cls(kernel, open_regular(kernel, directory_fd, name, _OPEN, mode))
        try:
            kernel.flock(index._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            index.load()
        except BaseException:
            index.shut()
            raise
        return index

    def load(self) -> None:
        whole = self._kernel.fstat(self._fd).st_size // RECORD_BYTES
        self.header = decode_header(self._kernel.pread(self._fd, RECORD_BYTES, 0))
        if self.header is None:
            return
        self._load_from(max(1, whole - _TAIL_RECORDS), whole)
        if not self.records:
            self._load_from(1, whole)

    def _load_from(self, first: int, whole: int) -> None:
        raw = self._kernel.pread(self._fd, (whole - first) * RECORD_BYTES, first * RECORD_BYTES)
        for number, record in enumerate(slots(raw, first), first):
            if record is not None:
                self.records.append(record)
                self._count = number + 1

    @property
    def last(self) -> Record | None:
        return self.records[-1] if self.records else None

    @property
    def waiting(self) -> bool:
        return bool(self._outbox)

    def begin(self, header: Header) -> None:
        self._outbox[:] = encode_header(header)
        self.header, self.records, self._count = header, [], 0

    def add(self, record: Record) -> None:
        self._outbox += encode(record, self._count + len(self._outbox) // RECORD_BYTES)

    def forget_waiting(self) -> None:
        self._outbox.clear()

    def cut_torn(self) -> None:
        """What lies behind the last sound record is cut off."""
        size = self._count * RECORD_BYTES
        if self._kernel.fstat(self._fd).st_size != size:
            self._kernel.ftruncate(self._fd, size)

    def flush(self) -> None:
        info = self._kernel.fstat(self._fd)
        if info.st_size != self._count * RECORD_BYTES or not info.st_nlink:
            raise OSError(errno.ESTALE, "the index was changed from outside")
        left = bytes(self._outbox)
        while left:
            left = left[self._kernel.write(self._fd, left) :]
        self._count += len(self._outbox) // RECORD_BYTES
        self._outbox.clear()

    def shut(self) -> None:
        self._kernel.close(self._fd)
