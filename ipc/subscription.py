"""One subscriber of one session: what it gets next, and what it is told that it missed.

It begins where it asked to, with what only the log still has (see log_replay), and goes on in the ring. Once it has
come to where the stream stood when it began, it is live: from there on one that reads slowly falls behind, and beyond
its lag limit, or when the ring has moved on, it is put ahead and told which bytes it will not get. It never holds back
anybody.
"""

import socket
from collections.abc import Callable

from ipc import ring_layout
from ipc.frames import STREAMS, Kind
from ipc.log_index import Position
from ipc.log_replay import LogReplay, Piece, Wish
from ipc.replay import Start, find_joint
from ipc.ring_reader import Copied, Follower, Lapped, Run
from ipc.router_messages import MAX_DATA_BYTES, UNKNOWN_OFFSET, Header, Packet, encode_gap, encode_header

_PACKETS_A_TURN = 4  # of at most 64 KB: five hundred who follow a flood keep a keystroke waiting for no longer
_OUT, _ERR = int(Kind.OUT), int(Kind.ERR)
ReadLog = Callable[[Wish], LogReplay]


class Subscription:
    """`read_log`: None where the session has no log."""

    def __init__(
        self, sock: socket.socket, follower: Follower, start: Start, max_lag_bytes: int, read_log: ReadLog | None
    ) -> None:
        self._socket = sock
        self._follower = follower
        self._max_lag_bytes = max_lag_bytes
        self._read_log = read_log
        self._replay: LogReplay | None = None
        self._epoch = start.place.epoch
        self._next_offset = dict.fromkeys(map(int, STREAMS), 0)
        self._next_offset[_OUT] = start.place.offset
        self._knows_err = start.place.offset == 0
        self._ended = False
        self._live = False
        self._live_from = Position(*follower.standing())
        self._live_cursor = follower.newest
        self._cursor = start.cursor  # None: still to be found
        self._replay_began: Position | None = None
        self._unsent: list[tuple[bytes, bytes]] = []
        if start.missing_lines and read_log is not None:
            self._replay = read_log(Wish(start.place, start.place, start.missing_lines, start.at_end))

    def close(self) -> None:
        if self._replay is not None:
            self._replay.close()

    @property
    def _place(self) -> Position:
        return Position(self._epoch, self._next_offset[_OUT])

    def has_news(self) -> bool:
        if self._unsent:
            return True
        if self._replay is not None:
            return self._replay.is_ready()
        follower = self._follower
        return not self._live or self._cursor != follower.newest or follower.has_moved()

    def is_settled(self) -> bool:
        """Nothing but a change of its ring gives it news."""
        return self._live and not self.has_news()

    def send(self) -> bool:
        """As much as the socket takes, up to a turn's worth. False: it takes no more now. OSError: it is gone."""
        for _ in range(_PACKETS_A_TURN):
            if not self._flush():
                return False
            if not self._prepare():
                return True
        return True

    def _flush(self) -> bool:
        while self._unsent:
            try:
                self._socket.sendmsg(self._unsent[0], (), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return False
            del self._unsent[0]
        return True

    def _prepare(self) -> bool:
        """Put the next packets in line; False where there is nothing."""
        if self._replay is not None:
            return self._prepare_from_log(self._replay)
        if self._cursor is None:
            self._join()
            return True
        if self._live:
            self._cursor = self._within_lag(self._cursor)
        elif self._cursor >= self._live_cursor:
            return self._announce_live()
        match self._follower.next_copy(self._cursor, MAX_DATA_BYTES):
            case None:
                return False
            case Lapped(oldest):
                self._cursor = oldest if self._live else None
            case Copied(run, data):
                self._cursor = run.end
                self._put_run(run, data)
        return True

    # --- log and ring ---

    def _join(self) -> None:
        """Go on in the ring; what lies before its first frame comes from the log first."""
        self._cursor, place = find_joint(self._place, self._follower)
        if self._read_log is not None and self._place < min(place, self._live_from):
            self._replay_began = self._place
            self._replay = self._read_log(Wish(self._place, place))

    def _prepare_from_log(self, replay: LogReplay) -> bool:
        if not replay.is_ready():
            return False
        match replay.take():
            case None:
                self._end_replay()
            case Piece(place, b"", ends_epoch=True):
                self._reach(_OUT, place)
                self._ended = True
            case Piece(place, b""):
                self._next_offset[_OUT] = place.offset
                self._knows_err = place.offset == 0
            case Piece(place, data):
                self._put_bytes(Header(Packet.DATA, _OUT, 0, *place, 0, 0), data)
        return True

    def _end_replay(self) -> None:
        """While the log was read, the ring may have moved on: join again, until the log has no more to say."""
        self._replay = None
        self._cursor = None
        if self._replay_began == self._place:
            self._read_log = None

    # --- frames ---

    def _announce_live(self) -> bool:
        self._live = True
        self._put(Header(Packet.CAUGHT_UP, 0, 0, self._epoch, self._next_offset[_OUT], 0, 0), b"")
        return True

    def _put_run(self, run: Run, data: bytes) -> None:
        header = Header(Packet.DATA, run.kind, run.flags, run.epoch, run.offset, run.time_ns, run.seq)
        if run.kind in self._next_offset:
            self._put_bytes(header, data)
        elif run.epoch >= self._epoch:
            if run.kind == Kind.END:
                self._reach(_OUT, Position(run.epoch, run.offset))
                self._reach(_ERR, Position(run.epoch, run.other_offset))
                self._ended = True
            elif run.epoch > self._epoch:
                self._turn_epoch(run.epoch)
            self._put(header, data)

    def _put_bytes(self, header: Header, data: bytes) -> None:
        """In pieces that fit a packet, without what the subscriber has already, after what it missed."""
        _, kind, _, epoch, offset, _, _ = header
        if epoch < self._epoch:
            return
        if epoch > self._epoch:
            self._turn_epoch(epoch)
        skipped = max(0, self._expected(kind, offset) - offset)
        if skipped >= len(data):
            return
        self._reach(kind, Position(epoch, offset + skipped))
        self._next_offset[kind] = offset + len(data)
        for at in range(skipped, len(data), MAX_DATA_BYTES):
            self._put(header._replace(offset=offset + at), data[at : at + MAX_DATA_BYTES])

    def _reach(self, kind: int, place: Position) -> None:
        """The stream goes on here, or has ended here: what lies between is a gap."""
        if place.epoch > self._epoch:
            self._turn_epoch(place.epoch)
        expected = self._expected(kind, place.offset)
        if place.offset > expected:
            self._unsent.append((encode_gap(kind, self._epoch, expected, place.offset), b""))
            self._next_offset[kind] = place.offset

    def _expected(self, kind: int, offset: int) -> int:
        """Where the stream goes on for this subscriber. Nobody asks for a place of ERR: it begins where it begins."""
        if kind == _ERR and not self._knows_err:
            self._knows_err = True
            self._next_offset[kind] = offset
        return self._next_offset[kind]

    def _turn_epoch(self, epoch: int) -> None:
        """An epoch whose end was missed has a gap of which nobody here knows the size."""
        if not self._ended and self._epoch:
            gap = encode_gap(_OUT, self._epoch, self._next_offset[_OUT], UNKNOWN_OFFSET)
            self._unsent.append((gap, b""))
        self._epoch = epoch
        self._ended = False
        self._knows_err = True
        for kind in self._next_offset:
            self._next_offset[kind] = 0

    def _within_lag(self, cursor: int) -> int:
        """Beyond the limit the rest of it is skipped too: half the limit behind is where it goes on."""
        memory = self._follower.memory
        newest = self._follower.newest
        if newest - cursor < 2 or cursor < memory.q[ring_layout.W_OLDEST]:
            return cursor
        last = memory.descriptor(newest - 1)
        if last.pos - memory.pos_of(cursor) <= self._max_lag_bytes:
            return cursor
        return memory.first_frame_from(last.pos - self._max_lag_bytes // 2, cursor, newest)

    def _put(self, header: Header, data: bytes) -> None:
        self._unsent.append((encode_header(header), data))
