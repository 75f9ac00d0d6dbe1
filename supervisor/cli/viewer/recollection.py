"""How much of a session's past is looked at before it is shown. Pure.

What is wanted is the modes and the screen as they stand, and the stream may be gigabytes long. Up to three looks:

1. The last 256 KB: all there is of a young session, and enough text for any screen.
2. The first 64 KB of this epoch: what the session's own program switched on when it started. Where it is a full-screen
   program, its alternate screen was entered here, however long ago.
3. The last 256 KB once more, now to stay; or the last 10 MB, if the first look did not tell which screen is on: a
   program that was started later, from a shell, entered the alternate screen there. It takes some 50 ms.

What is still unknown then, because a shell's full-screen program has drawn more than 10 MB, is the program's to draw.
"""

from enum import IntEnum

from ipc.mode_tracker import ModeTracker, Snapshot
from ipc.router_messages import LastBytes, Origin, Since
from supervisor.cli.viewer.picture import Past

TAIL_BYTES = 256 << 10
HEAD_BYTES = 64 << 10
WIDE_BYTES = 10 << 20


class _Look(IntEnum):
    TAIL = 1
    HEAD = 2
    LAST = 3


class Recollection:
    """`origin` is what to subscribe with; `take` what comes, up to where the stream stood or until `has_head`; then
    `is_enough` says whether to subscribe once more."""

    def __init__(self) -> None:
        self.epoch = 0
        self.ended = False
        self._look = _Look.TAIL
        self._last_bytes = TAIL_BYTES
        self._head: Past | None = None
        self._begin = 0
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def origin(self) -> Origin:
        return Since(self.epoch, 0) if self._look is _Look.HEAD else LastBytes(self._last_bytes)

    def restart(self) -> None:
        """The same look again: its connection was lost."""
        self._begin, self._pieces, self._size = 0, [], 0

    def begin_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.ended, self._head = epoch, False, None
            self.restart()

    def take(self, epoch: int, offset: int, data: bytes) -> None:
        """What lies behind a gap stands alone."""
        self.begin_epoch(epoch)
        if offset != self._begin + self._size:
            self.restart()
            self._begin = offset
        self._pieces.append(data)
        self._size += len(data)

    @property
    def has_head(self) -> bool:
        return self._look is _Look.HEAD and self._size >= HEAD_BYTES

    def is_enough(self) -> bool:
        found = Past(Snapshot(self._begin, knows_screen=not self._begin), b"".join(self._pieces))
        match self._look:
            case _Look.TAIL:
                if not self._begin:
                    return True
                self._last_bytes = TAIL_BYTES if _follow(found).knows_screen else WIDE_BYTES
                self._look = _Look.HEAD
            case _Look.HEAD:
                self._head = found._replace(data=found.data[:HEAD_BYTES])
                self._look = _Look.LAST
            case _Look.LAST:
                return True
        self.restart()
        return False

    def past(self) -> Past:
        """Once it is enough."""
        return Past(self._before(), b"".join(self._pieces))

    def _before(self) -> Snapshot:
        """What the head left behind still holds, as far as anybody knows."""
        if not self._begin or self._head is None or self._head.before.offset:
            return Snapshot(self._begin, knows_screen=not self._begin)
        head = _follow(self._head._replace(data=self._head.data[: self._begin]))
        if head.offset == self._begin:
            return head.snapshot()
        return Snapshot(self._begin, head.modes, knows_screen=False)


def _follow(past: Past) -> ModeTracker:
    tracker = ModeTracker(past.before)
    tracker.feed(past.data)
    return tracker
