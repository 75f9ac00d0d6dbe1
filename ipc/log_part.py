"""One part of a log, open for writing: the file, its index, and how the two are kept in step.

The order of writes is the whole of crash safety, see log_index:

    what the index must say first (outbox)  ->  the bytes (writev)  ->  Checks over them, when due

Records wait in the outbox and leave it in one write. Should a write fail, or the process be killed, the part is
opened anew and everything in memory is made again from the files; there is no second way to put things right.

O_APPEND puts our bytes behind whatever others wrote. Afterwards the file position tells where that was (Linux moves
it to the end of what was written), so that even an intrusion between `fstat` and `writev` is noticed.
"""

import errno
import os
from collections.abc import Sequence
from typing import NamedTuple, Self

from xxhash import xxh3_64, xxh3_64_intdigest

from ipc.log_directory import list_parts, open_regular
from ipc.log_index import CHECK_BYTES, NOWHERE, Anchor, Cause, Check, Close, Header, Position, Record
from ipc.log_index_file import IndexFile
from ipc.log_kernel import Kernel
from ipc.log_recovery import Resumption, last_block, refute, resume
from ipc.log_rotation import last_position, open_index

_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT
_IOV_MAX = 1024


class Reached(NamedTuple):
    """What a process knows of a part that it let go."""

    position: Position
    file: tuple[int, int] | None  # device and inode; None: it was deleted


class LogPart:
    __slots__ = (
        "_digest",
        "_doubt",
        "_file",
        "_index",
        "_kernel",
        "_log_fd",
        "_pending",
        "born_ns",
        "epoch",
        "offset",
        "size",
    )

    def __init__(self, kernel: Kernel, index: IndexFile, log_fd: int) -> None:
        self._kernel = kernel
        self._index = index
        self._log_fd = log_fd
        self._file = (0, 0)  # device and inode
        self._digest = xxh3_64()
        self._pending = 0  # bytes of the stream at the file's end that no record vouches for
        self._doubt: Record | None = None  # the stream's bytes behind this record may be somebody else's
        self.born_ns = 0
        self.epoch, self.offset = NOWHERE  # of the file's end
        self.size = 0

    @classmethod
    def open(
        cls, kernel: Kernel, directory_fd: int, log: str, mode: int, *, known: Reached | None, now_ns: int
    ) -> Self:
        """`known`: what this process knows, if it had the log open before."""
        index = open_index(kernel, directory_fd, log, mode)
        try:
            part = cls(kernel, index, open_regular(kernel, directory_fd, log, _OPEN, mode))
        except BaseException:
            index.shut()
            raise
        try:
            part._find_end(directory_fd, log, known, now_ns)
        except BaseException:
            part.shut()
            raise
        return part

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)

    def reached(self) -> Reached:
        deleted = not self._kernel.fstat(self._log_fd).st_nlink  # its inode may be used again
        return Reached(self.position, None if deleted else self._file)

    def owes_index(self) -> bool:
        """There are bytes nobody vouches for yet, or facts not stated yet, and no doubt about them."""
        return (self._pending > 0 or self._index.waiting) and self._doubt is None

    def intact(self) -> bool:
        info = self._kernel.fstat(self._log_fd)
        return info.st_size == self.size and info.st_nlink > 0

    def write(self, views: Sequence[memoryview], now_ns: int) -> int:
        """Appends bytes of the stream at the current position; returns how many were taken."""
        if self._index.waiting:
            self.flush()
        if not self.size:
            self.born_ns = now_ns  # an empty part does not age
        written = self._kernel.writev(self._log_fd, views[:_IOV_MAX])
        start = self._kernel.lseek(self._log_fd, 0, os.SEEK_CUR) - written
        if start != self.size:
            self._state_intrusion(start, now_ns)
        self._take(views, written, now_ns)
        if self._index.waiting:
            self.flush()
        return written

    def skip_to(self, position: Position, now_ns: int) -> None:
        """The stream goes on elsewhere: what lies between is lost."""
        same = position.epoch == self.epoch
        gap_bytes = position.offset - self.offset if same else position.offset
        here = self.position
        self._anchor(Cause.GAP if same else Cause.EPOCH, self.size, position, now_ns, gap_bytes)
        try:
            self.flush()
        except OSError:
            self.epoch, self.offset = here  # what the index does not say has not happened
            raise

    def check(self, now_ns: int) -> None:
        self._vouch(now_ns)
        if self._index.waiting:
            self.flush()

    def close(self, now_ns: int) -> None:
        self._vouch(now_ns)
        self._index.add(Close(self.size, self.position, now_ns))
        self.flush()

    def clear(self, now_ns: int) -> None:
        self.check(now_ns)  # before the cut: a crash behind it must not cost the position
        self._kernel.ftruncate(self._log_fd, 0)
        self._anchor(Cause.CLEARED, 0, self.position, now_ns)
        self.flush()

    def flush(self) -> None:
        self._index.flush()
        self._doubt = None

    def shut(self) -> None:
        self._index.shut()
        self._kernel.close(self._log_fd)

    def in_doubt(self) -> bool:
        return self._doubt is not None

    def trust(self) -> None:
        self._doubt = None

    def differs_at(self, offset: int, redelivered: memoryview) -> int | None:
        """The first stream offset at which the file, where in doubt, does not hold these bytes of the current epoch."""
        if self._doubt is None:
            return None
        start = max(offset, self._doubt.position.offset)
        length = min(offset + len(redelivered), self.offset) - start
        if length <= 0:
            return None
        place = self._doubt.file_offset + start - self._doubt.position.offset
        there = self._kernel.pread(self._log_fd, length, place)
        expected = redelivered[start - offset : start - offset + length]
        if there == expected:
            return None
        same = next((i for i, (a, b) in enumerate(zip(there, expected, strict=False)) if a != b), len(there))
        return start + same

    def refute(self, wrong_offset: int, now_ns: int) -> None:
        """The bytes in doubt are not the stream's from this offset on."""
        if self._doubt is not None:
            last = self._doubt
            self._adopt(last, refute(last, Position(self.epoch, wrong_offset)), self._file_size(), now_ns)

    def _find_end(self, directory_fd: int, log: str, known: Reached | None, now_ns: int) -> None:
        info = self._kernel.fstat(self._log_fd)
        self._file = (info.st_dev, info.st_ino)
        header, last = self._index.header, self._index.last
        position = known.position if known is not None else None
        if header is None or last is None:
            self._begin(directory_fd, log, position, now_ns)
            return
        self.born_ns = header.time_ns
        self._index.cut_torn()
        size = self._file_size()
        ours = (known is None or known.file == self._file) and self._has_last_block(size)
        self._adopt(last, resume(last, size, position, ours=ours), size, now_ns)

    def _begin(self, directory_fd: int, log: str, known: Position | None, now_ns: int) -> None:
        """A new part. What its file may hold already is not ours."""
        parts = list_parts(directory_fd, log, self._kernel)
        if known is None:
            known = last_position(self._kernel, directory_fd, parts)
        self._index.begin(Header(parts[-1].number + 1 if parts else 1, now_ns))
        self._index.cut_torn()
        self.born_ns = now_ns
        self._anchor(Cause.START, self._file_size(), known, now_ns)
        self.flush()

    def _has_last_block(self, size: int) -> bool:
        block = last_block(self._index.records, size)
        if block is None:
            return True
        start, check = block
        return xxh3_64_intdigest(self._kernel.pread(self._log_fd, check.file_offset - start, start)) == check.digest

    def _adopt(self, last: Record, end: Resumption, size: int, now_ns: int) -> None:
        """Takes the file's end for what was decided. The index hears of it with the next bytes: idle costs nothing."""
        self._index.forget_waiting()
        self._forget_pending()
        self.size = last.file_offset
        self.epoch, self.offset = last.position
        while self.size < end.vouch_to:
            wanted = min(CHECK_BYTES, end.vouch_to - self.size)
            piece = self._kernel.pread(self._log_fd, wanted, self.size)
            if not piece:
                raise OSError(errno.ESTALE, "the log was cut while it was opened")
            self._take([memoryview(piece)], len(piece), now_ns)
        if end.anchor is not None:
            self._anchor(end.anchor, size, end.position, now_ns)
        self._doubt = last if end.in_doubt else None

    def _take(self, views: Sequence[memoryview], count: int, now_ns: int) -> None:
        """These bytes are in the file now: digest them, and vouch for each block that is full."""
        for view in views:
            at, end = 0, min(len(view), count)
            count -= end
            while at < end:
                step = min(end - at, CHECK_BYTES - self._pending)
                self._digest.update(view if step == len(view) else view[at : at + step])
                at += step
                self._pending += step
                self.size += step
                self.offset += step
                if self._pending == CHECK_BYTES:
                    self._vouch(now_ns)

    def _vouch(self, now_ns: int) -> None:
        if self._pending:
            self._index.add(Check(self.size, self.position, now_ns, self._digest.intdigest()))
            self._forget_pending()

    def _forget_pending(self) -> None:
        self._digest.reset()
        self._pending = 0

    def _anchor(self, cause: Cause, file_offset: int, position: Position, now_ns: int, gap_bytes: int = 0) -> None:
        self._vouch(now_ns)
        self._index.add(Anchor(file_offset, position, now_ns, cause, gap_bytes))
        self.size = file_offset
        self.epoch, self.offset = position

    def _state_intrusion(self, start: int, now_ns: int) -> None:
        """Somebody wrote to the file, or cut it, between our look at its size and our write."""
        cause = Cause.FOREIGN if start > self.size else Cause.TRUNCATED
        self._anchor(cause, start, self.position, now_ns)

    def _file_size(self) -> int:
        return self._kernel.fstat(self._log_fd).st_size
