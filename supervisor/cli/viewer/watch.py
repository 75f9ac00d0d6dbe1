"""A session's output for those who wait for something in it: piece by piece, over the death of a router.

`watching` is for a command that does nothing else meanwhile; who also talks to a worker polls both lines himself.
"""

import select
import time
from collections.abc import Iterator

from ipc.frames import Kind
from ipc.mode_tracker import ModeTracker
from ipc.router_messages import Origin, Packet, Since
from supervisor.cli.viewer.picture import picture_of
from supervisor.cli.viewer.recollection import Recollection
from supervisor.cli.viewer.router_link import Piece, RouterLink


class Watch:
    """From `origin` on; behind a lost router where it stood."""

    def __init__(self, router_path: str, session: str, origin: Origin) -> None:
        self._origin = origin
        self.link = RouterLink(router_path, session)
        self.link.subscribe(origin, time.monotonic())

    def take(self, now_s: float) -> Iterator[Piece]:
        """What has come. Raises Dismissed."""
        if self.link.redial.is_due(now_s):
            self.link.subscribe(self._origin, now_s)
        while (piece := self.link.receive(now_s)) is not None:
            if piece.kind == Kind.OUT or piece.packet is Packet.CAUGHT_UP:
                self._origin = Since(
                    piece.epoch, piece.offset + (len(piece.data) if piece.packet is Packet.DATA else 0)
                )
            yield piece

    def wait(self, deadline_s: float) -> Iterator[Piece]:
        """What comes until then, or nothing."""
        now_s = time.monotonic()
        wake_s = min(deadline_s, self.link.redial.deadline_s() or deadline_s)
        if self.link.fileno() >= 0:
            select.select([self.link.fileno()], [], [], max(0.0, wake_s - now_s))
        else:
            select.select([], [], [], max(0.0, wake_s - now_s))
        return self.take(time.monotonic())

    def close(self) -> None:
        self.link.hang_up()


def watching(watch: Watch, deadline_s: float) -> Iterator[Piece]:
    while time.monotonic() < deadline_s:
        yield from watch.wait(deadline_s)


def modes_now(router_path: str, session: str, deadline_s: float) -> ModeTracker:
    """As far as the past tells (see recollection.py) and the time allows. Raises Dismissed."""
    recollection = Recollection()
    while True:
        watch = Watch(router_path, session, recollection.origin)
        try:
            _look(watch, recollection, deadline_s)
        finally:
            watch.close()
        if time.monotonic() >= deadline_s or recollection.is_enough():
            return picture_of(recollection.past()).tracker


def _look(watch: Watch, recollection: Recollection, deadline_s: float) -> None:
    for piece in watching(watch, deadline_s):
        if piece.packet is Packet.DATA and piece.kind == Kind.OUT:
            recollection.take(piece.epoch, piece.offset, piece.data)
        elif piece.packet is Packet.CAUGHT_UP:
            recollection.begin_epoch(piece.epoch)
            return
        if recollection.has_head:
            return
