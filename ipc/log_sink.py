"""Where the router puts the bytes of one stream of one session: a log file, its rotated parts, and their indexes.

    sink = LogSink.open("/var/log/fleet", "web.log", policy, now)
    settled = sink.append(run.epoch, run.offset, [run.view], now)      # bytes of the run the cursor may pass

What the caller can rely on:

* After `append` returned n, the first n bytes of the run are in the file, or were there before: the cursor may move
  on. Fewer than asked for means that the sink is failing: offer the rest again at `deadline_ns`.
* A process that is killed at any instruction and started again may offer everything from its old cursor: what is in
  the file is skipped, byte for byte, and nothing is written twice or left out.
* No method raises OSError. A full disk, a vanished directory, an I/O error, a forbidden directory are a state
  (`failure`), which heals by itself; bytes that were lost meanwhile are stated in the index before those that follow.
* Idle, it costs nothing: `deadline_ns` is None, and `tick` need not be called.

The bytes behind the last record of the index were written by the process before us. If somebody else wrote to the
file while no router ran, they are his. The ring tells: it offers again what its cursor has not passed, and where that
differs from the file, the file's rest is foreign.
"""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from ipc.log_directory import SessionUser, open_directory
from ipc.log_failure import Failure, first_or_next, postponed
from ipc.log_index import NOWHERE, Position
from ipc.log_kernel import KERNEL, Kernel
from ipc.log_part import LogPart, Reached
from ipc.log_recovery import WRITE_BYTES
from ipc.log_retention import LogPolicy, room_bytes, rotation_due
from ipc.log_stamp import StampedCopy

_CHECK_NS = 1_000_000_000  # bytes are vouched for within a second


class Moment(NamedTuple):
    """One instant on two clocks: the wall clock for what people read, the monotonic one for deadlines."""

    wall_ns: int
    mono_ns: int


class LogSink:
    __slots__ = (
        "_check_ns",
        "_copy",
        "_directory",
        "_kernel",
        "_known",
        "_name",
        "_part",
        "_policy",
        "_user",
        "failure",
        "rotations",
    )

    def __init__(
        self, directory: str | Path, name: str, policy: LogPolicy, user: SessionUser | None, kernel: Kernel
    ) -> None:
        if "/" in name or name in {"", ".", ".."}:
            raise ValueError(f"{name!r} is no file name")
        self._directory = directory
        self._name = name
        self._policy = policy
        self._user = user
        self._kernel = kernel
        self._part: LogPart | None = None
        self._known: Reached | None = None
        self._check_ns: int | None = None  # when the bytes written since the last Check are to be vouched for
        self._copy = StampedCopy(name, policy, kernel) if policy.stamped else None
        self.failure: Failure | None = None
        self.rotations = 0  # whoever compresses and deletes parts compares this with what it was

    @classmethod
    def open(
        cls,
        directory: str | Path,
        name: str,
        policy: LogPolicy,
        now: Moment,
        *,
        user: SessionUser | None = None,
        kernel: Kernel = KERNEL,
    ) -> Self:
        """`user`: who the session's program runs as; he must not be able to write to the directory."""
        sink = cls(directory, name, policy, user, kernel)
        sink._attempt(lambda: sink._reopen(now), now)
        return sink

    @property
    def position(self) -> Position:
        """Everything below it is settled."""
        if self._part is not None:
            return self._part.position
        return self._known.position if self._known is not None else NOWHERE

    @property
    def deadline_ns(self) -> int | None:
        """When `tick` is wanted, on the monotonic clock."""
        return self.failure.retry_ns if self.failure is not None else self._check_ns

    def append(self, epoch: int, offset: int, views: Sequence[memoryview], now: Moment) -> int:
        """Returns how many bytes of the run are settled: written now, or in the log before."""
        if self.failure is None or now.mono_ns >= self.failure.retry_ns:
            try:
                return self._append(epoch, offset, views, now)
            except OSError as error:
                self._fail(error, now)
        return self._settled(epoch, offset, sum(map(len, views)))

    def end_epoch(self, epoch: int, offset: int, now: Moment) -> bool:
        """The epoch's output has ended at this offset: what is missing up to there is stated."""
        return self._attempt_when_due(lambda: self._end_epoch(Position(epoch, offset), now), now)

    def rotate(self, now: Moment) -> bool:
        return self._attempt_when_due(lambda: self._rotate_intact(now), now)

    def clear(self, now: Moment) -> bool:
        """Empties the current part. The stream goes on where it was; the index says what was cut."""
        return self._attempt_when_due(lambda: self._intact_part(now).clear(now.wall_ns), now)

    def reopen(self, now: Moment) -> bool:
        """The file may have been renamed: go on under the name."""
        return self._attempt(lambda: self._reopen(now), now)

    def tick(self, now: Moment) -> None:
        """To be called at `deadline_ns`; earlier it does nothing."""
        if self.deadline_ns is not None and now.mono_ns >= self.deadline_ns:
            self._attempt(lambda: self._check(now), now)

    def close(self, now: Moment) -> None:
        """In order: everything written is vouched for. Not calling it costs nothing but that."""
        self._attempt(lambda: self._check(now), now)
        self._let_go()

    def _append(self, epoch: int, offset: int, views: Sequence[memoryview], now: Moment) -> int:
        part = self._intact_part(now)
        length = sum(map(len, views))
        done = 0 if epoch == part.epoch and offset == part.offset else self._align(part, epoch, offset, views, now)
        while done < length:
            room = min(room_bytes(self._policy, part.size, length - done), WRITE_BYTES)
            if room == 0 or (part.size and rotation_due(self._policy, part.born_ns, now.wall_ns)):
                part = self._rotate(part, now)
                continue
            batch = views if room == length else cut(views, done, done + room)
            done += self._write(part, batch, now)
        self._check_in_time(part, now)
        return length

    def _align(self, part: LogPart, epoch: int, offset: int, views: Sequence[memoryview], now: Moment) -> int:
        """States what the file will never have. Returns how many bytes of the run it has already."""
        length = sum(map(len, views))
        if epoch < part.epoch:
            return length
        if epoch == part.epoch and offset < part.offset:
            self._compare(part, offset, views, now)
            return min(part.offset - offset, length)
        part.skip_to(Position(epoch, offset), now.wall_ns)
        return 0

    def _compare(self, part: LogPart, offset: int, views: Sequence[memoryview], now: Moment) -> None:
        for view in views:
            wrong = part.differs_at(offset, view)
            if wrong is not None:
                part.refute(wrong, now.wall_ns)
                return
            offset += len(view)
        if offset >= part.offset:
            part.trust()

    def _write(self, part: LogPart, views: Sequence[memoryview], now: Moment) -> int:
        written = part.write(views, now.wall_ns)
        if not written:
            raise OSError(errno.EIO, "the disk takes no bytes")  # a file's write of something is never nothing
        self.failure = None
        if self._copy is not None:
            self._copy.append(self._directory, self._user, cut(views, 0, written), now.wall_ns)
        return written

    def _check_in_time(self, part: LogPart, now: Moment) -> None:
        if not part.owes_index():
            self._check_ns = None
        elif self.failure is not None:
            self._check(now)
        elif self._check_ns is None:
            self._check_ns = now.mono_ns + _CHECK_NS
        elif now.mono_ns >= self._check_ns:
            self._check(now)

    def _check(self, now: Moment) -> None:
        part = self._intact_part(now)
        self._check_ns = None
        if part.owes_index():
            part.check(now.wall_ns)
            self.failure = None
        elif self.failure is not None:
            self.failure = postponed(self.failure, now.mono_ns)  # only bytes will show whether it can be written

    def _end_epoch(self, end: Position, now: Moment) -> None:
        part = self._intact_part(now)
        if end.epoch == part.epoch and end.offset < part.offset:
            part.refute(end.offset, now.wall_ns)
            self._check(now)  # the ring will not say it again
        elif end > part.position:
            part.skip_to(end, now.wall_ns)
        elif end == part.position:
            part.trust()
        self._check_in_time(part, now)

    def _rotate_intact(self, now: Moment) -> None:
        part = self._intact_part(now)
        if part.size:
            self._rotate(part, now)

    def _rotate(self, part: LogPart, now: Moment) -> LogPart:
        part.close(now.wall_ns)
        self.rotations += 1
        return self._reopen(now)

    def _intact_part(self, now: Moment) -> LogPart:
        part = self._part
        return part if part is not None and part.intact() else self._reopen(now)

    def _reopen(self, now: Moment) -> LogPart:
        self._let_go()
        directory_fd = open_directory(self._directory, self._user, self._kernel)
        try:
            part = LogPart.open(
                self._kernel, directory_fd, self._name, self._policy.mode, known=self._known, now_ns=now.wall_ns
            )
        finally:
            self._kernel.close(directory_fd)
        self._part = part
        if self.failure is not None and not self.failure.healed_by_write:
            self.failure = None
        return part

    def _let_go(self) -> None:
        if self._part is not None:
            part, self._part = self._part, None
            if not part.in_doubt():
                self._known = part.reached()
            part.shut()

    def _settled(self, epoch: int, offset: int, length: int) -> int:
        reached = self.position
        if epoch != reached.epoch:
            return length if epoch < reached.epoch else 0
        return min(max(reached.offset - offset, 0), length)

    def _attempt_when_due(self, action: Callable[[], object], now: Moment) -> bool:
        return (self.failure is None or now.mono_ns >= self.failure.retry_ns) and self._attempt(action, now)

    def _attempt(self, action: Callable[[], object], now: Moment) -> bool:
        try:
            action()
        except OSError as error:
            self._fail(error, now)
            return False
        return True

    def _fail(self, error: OSError, now: Moment) -> None:
        writing = self._part is not None
        self._let_go()
        self._check_ns = None
        self.failure = first_or_next(self.failure, error, wall_ns=now.wall_ns, mono_ns=now.mono_ns, writing=writing)


def cut(views: Sequence[memoryview], start: int, end: int) -> list[memoryview]:
    """The bytes from `start` up to `end` of all views together."""
    pieces = []
    for view in views:
        length = len(view)
        if start < length and end > 0:
            pieces.append(view[max(start, 0) : end])
        start -= length
        end -= length
    return pieces
