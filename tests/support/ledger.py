"""What a reader of a ring was given: each stream's bytes, what of them was stated as lost, and the control frames."""

from dataclasses import dataclass, field
from typing import NamedTuple

from ipc.frames import STREAMS, End, EndReason, Flag, Kind, decode_end
from ipc.ring_reader import Run


@dataclass
class Stream:
    data: bytearray = field(default_factory=bytearray)
    orphaned: bytearray = field(default_factory=bytearray)  # the part of `data` that came after the leader's end
    gaps: list[tuple[int, int]] = field(default_factory=list)
    offset: int = 0

    def take(self, offset: int, flags: int, data: bytes) -> None:
        assert offset >= self.offset, f"bytes {offset} to {self.offset} came twice"
        self.skip_to(offset)
        self.data += data
        if flags & Flag.ORPHAN:
            self.orphaned += data
        self.offset = offset + len(data)

    def skip_to(self, offset: int) -> None:
        if offset > self.offset:
            self.gaps.append((self.offset, offset))
            self.offset = offset

    @property
    def lost_bytes(self) -> int:
        return sum(end - start for start, end in self.gaps)


class Event(NamedTuple):
    kind: Kind
    epoch: int
    offset: int  # where OUT stood
    payload: bytes


class Ledger:
    def __init__(self) -> None:
        self.streams: dict[tuple[int, Kind], Stream] = {}
        self.events: list[Event] = []

    def take(self, run: Run) -> None:
        kind, data = Kind(run.kind), bytes(run.view)
        if kind in STREAMS:
            self.stream(kind, run.epoch).take(run.offset, run.flags, data)
        else:
            self.stream(Kind.OUT, run.epoch).skip_to(run.offset)
            self.stream(Kind.ERR, run.epoch).skip_to(run.other_offset)
            self.events.append(Event(kind, run.epoch, run.offset, data))

    def stream(self, kind: Kind, epoch: int) -> Stream:
        return self.streams.setdefault((epoch, kind), Stream())

    def of_kind(self, kind: Kind) -> list[Event]:
        return [event for event in self.events if event.kind is kind]

    def kinds(self) -> list[Kind]:
        return [event.kind for event in self.events]

    def end(self) -> EndReason:
        """How the only epoch ended, after it began once and ended once."""
        assert [kind for kind in self.kinds() if kind is not Kind.RESIZE] == [Kind.BEGIN, Kind.END], self.kinds()
        end: End = decode_end(self.events[-1].payload)
        assert self.events[-1].kind is Kind.END
        return end.reason
