"""Every decision as its input, and what came of it; bounded, and enough to go on from after a crash.

    part     Opening, then of each session its last few Decisions and a Checkpoint; then Decisions as they are made
    full     the next part begins; the shell keeps one old part besides, and drops the rest

A Decision holds the session after it, not only its state: recovery reads the last one of each session and runs no
code of the machine, so that newer code, or a record lost to damage, cannot make it decide the past differently. The
decisions before a Checkpoint are there for `explain`: a session that was quiet for a month still says why it stopped.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from ipc.errors import UNREADABLE
from supervisor.lifecycle.effects import Effect, Forget
from supervisor.lifecycle.events import Event
from supervisor.lifecycle.frames import Skipped, framed, unframed
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import SessionState

VERSION: Final = 1
PART_BYTES: Final = 8 << 20
REMEMBERED: Final = 16
OPENING_DECISIONS: Final = 4096  # of all sessions together: a large fleet is told with fewer of each


class _Record(Struct, frozen=True, omit_defaults=True, tag=True, tag_field="record"):
    wall_s: float  # for people; nothing is decided by it
    now_s: float


class Opening(_Record, frozen=True):
    boot_id: str
    version: int = VERSION


class Checkpoint(_Record, frozen=True):
    session: Session


class Decision(_Record, frozen=True):
    event: Event
    after: Session
    effects: tuple[Effect, ...] = ()

    @property
    def name(self) -> str:
        return self.after.name

    @property
    def state(self) -> SessionState:
        return self.after.state


Record = Opening | Checkpoint | Decision

_encode = msgspec.msgpack.Encoder().encode
_decode: Final[msgspec.msgpack.Decoder[Record]] = msgspec.msgpack.Decoder(Record)


def encode_record(record: Record) -> bytes:
    return framed(_encode(record))


class Decoded(Struct, frozen=True):
    records: tuple[Record, ...]
    skipped: tuple[Skipped, ...]
    unreadable: int = 0  # whole, and not of this version


def decode_records(data: bytes) -> Decoded:
    records: list[Record] = []
    skipped: list[Skipped] = []
    unreadable = 0
    for piece in unframed(data):
        if isinstance(piece, Skipped):
            skipped.append(piece)
            continue
        try:
            records.append(_decode.decode(piece))
        except UNREADABLE:
            unreadable += 1
    return Decoded(tuple(records), tuple(skipped), unreadable)


class Journal:
    """What has to be written next. The shell writes it before it performs the effects."""

    def __init__(self, *, part_bytes: int = PART_BYTES, remembered: int = REMEMBERED) -> None:
        self._part_bytes = part_bytes
        self._remembered = remembered
        self._since_opening = 0
        self._recent: dict[str, deque[Decision]] = {}

    def decided(self, decision: Decision) -> bytes:
        self._remember(decision)
        data = encode_record(decision)
        self._since_opening += len(data)
        return data

    @property
    def is_full(self) -> bool:
        """Write an opening to a new part now."""
        return self._since_opening >= self._part_bytes

    def opening(self, opening: Opening, sessions: Iterable[Session]) -> bytes:
        self._since_opening = 0
        records: list[Record] = [opening]
        sessions = list(sessions)
        most = max(1, OPENING_DECISIONS // max(1, len(sessions)))
        for session in sessions:
            records += self.recent(session.name)[-most:]
            records.append(Checkpoint(opening.wall_s, opening.now_s, session))
        return b"".join(map(encode_record, records))

    def go_on(self, part_bytes: int) -> None:
        """In a part that a supervisor before this one began."""
        self._since_opening = part_bytes

    def added(self, checkpoint: Checkpoint) -> bytes:
        """A session that is new: its first decision needs something to start from."""
        data = encode_record(checkpoint)
        self._since_opening += len(data)
        return data

    def recent(self, name: str) -> tuple[Decision, ...]:
        """Oldest first."""
        return tuple(self._recent.get(name, ()))

    def remember(self, decisions: Mapping[str, Iterable[Decision]]) -> None:
        """Of the supervisor before this one."""
        for several in decisions.values():
            for decision in several:
                self._remember(decision)

    def _remember(self, decision: Decision) -> None:
        if Forget() in decision.effects:
            self._recent.pop(decision.name, None)
            return
        self._recent.setdefault(decision.name, deque(maxlen=self._remembered)).append(decision)
