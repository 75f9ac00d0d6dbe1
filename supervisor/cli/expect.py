"""`expect`: waits until a session writes something that a regular expression finds.

Bytes are searched, as the program wrote them: a colour in the middle of a word is part of it. What is kept is bounded,
so a match spans at most 64 KB; behind a gap the search begins anew.
"""

import re
import time
from dataclasses import dataclass
from typing import NamedTuple

from ipc.frames import Kind
from ipc.router_messages import Origin, Packet
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.viewer.places import Place, router_path
from supervisor.cli.viewer.router_link import Dismissed, Piece
from supervisor.cli.viewer.watch import Watch, watching

LONGEST_MATCH_BYTES = 64 << 10


class Searcher:
    """Finds the first match in a stream of pieces."""

    def __init__(self, pattern: "re.Pattern[bytes]") -> None:
        self._pattern = pattern
        self._kept = b""

    def feed(self, data: bytes) -> "re.Match[bytes] | None":
        searched = self._kept + data
        found = self._pattern.search(searched)
        self._kept = searched[-LONGEST_MATCH_BYTES:]
        return found

    def forget(self) -> None:
        self._kept = b""


class Found(NamedTuple):
    match: bytes
    groups: tuple[bytes | None, ...]
    named: dict[str, bytes | None]
    epoch: int
    offset: int  # of the match


@dataclass(frozen=True, slots=True)
class NotFound:
    reason: str  # timeout, ended


def expect(place: Place, pattern: "re.Pattern[bytes]", origin: Origin, timeout_s: float) -> Found | NotFound:
    """Raises Refusal."""
    searcher = Searcher(pattern)
    watch = Watch(router_path(place), place.session, origin)
    try:
        for piece in watching(watch, time.monotonic() + timeout_s):
            if piece.packet is Packet.GAP or piece.kind == Kind.BEGIN:
                searcher.forget()
            elif piece.kind == Kind.END:
                return NotFound("ended")
            elif piece.kind == Kind.OUT and (match := searcher.feed(piece.data)):
                return _found(match, piece)
    except Dismissed as dismissed:
        raise Refusal(str(dismissed), Exit.NO_SUCH) from dismissed
    finally:
        watch.close()
    return NotFound("timeout")


def _found(match: "re.Match[bytes]", piece: Piece) -> Found:
    offset = piece.offset + len(piece.data) - len(match.string) + match.start()
    return Found(match[0], match.groups(), match.groupdict(), piece.epoch, offset)
