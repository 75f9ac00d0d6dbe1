"""One subscriber of one session: what it gets next, and what it is told that it missed.

A subscriber that reads slowly falls behind; beyond its lag limit, or when the ring has moved on, it is put ahead and
told which bytes it will not get. It never holds back anybody.
"""

import socket

from ipc import ring_layout
from ipc.frames import STREAMS, Kind
from ipc.log_reader import LogMoved
from ipc.replay import Start
from ipc.ring_reader import Copied, Follower, Lapped
from ipc.router_messages import MAX_DATA_BYTES, UNKNOWN_OFFSET, Header, Packet, encode_gap, encode_header

_PACKETS_A_TURN = 16


class Subscription:
    def __init__(self, sock: socket.socket, follower: Follower, start: Start, max_lag_bytes: int) -> None:
        self._socket = sock
        self._follower = follower
        self._cursor = start.cursor
        self._from_log = start.from_log
        self._max_lag_bytes = max_lag_bytes
        self._epoch = start.epoch
        self._next_offset = {int(kind): 0 for kind in STREAMS}
        self._next_offset[int(Kind.OUT)] = start.offset
        self._knows_err = start.offset == 0
        self._ended = False
        self._live = False
        self._unsent: list[tuple[bytes, bytes]] = []

    def has_news(self) -> bool:
        follower = self._follower
        return bool(self._unsent) or not self._live or self._cursor != follower.newest or follower.has_moved()

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
        if self._from_log is not None:
            return self._prepare_from_log()
        self._skip_lag()
        match self._follower.next_copy(self._cursor, MAX_DATA_BYTES):
            case None:
                return self._announce_live()
            case Lapped(oldest):
                self._cursor = oldest
            case Copied(run, data):
                self._cursor = run.end
                self._put_frames(run.kind, run.flags, run.epoch, run.offset, run.time_ns, run.seq, data)
        return True

    def _prepare_from_log(self) -> bool:
        try:
            piece = next(self._from_log, None) if self._from_log is not None else None
        except (OSError, LogMoved):
            piece = None  # what the log cannot give is a gap, stated before the ring's first bytes
        if piece is None:
            self._from_log = None
            return True
        offset, data = piece
        self._put_frames(int(Kind.OUT), 0, self._epoch, offset, 0, 0, data)
        return True

    def _announce_live(self) -> bool:
        if self._live:
            return False
        self._live = True
        self._put(Header(Packet.CAUGHT_UP, 0, 0, self._epoch, self._next_offset[int(Kind.OUT)], 0, 0), b"")
        return True

    def _put_frames(self, kind: int, flags: int, epoch: int, offset: int, time_ns: int, seq: int, data: bytes) -> None:
        """In pieces that fit a packet, without what the subscriber has already, after what it missed."""
        if epoch < self._epoch:
            return
        if epoch > self._epoch:
            self._turn_epoch(epoch)
        if kind in self._next_offset:
            skipped = max(0, min(len(data), self._expected(kind, offset) - offset))
            offset, data = offset + skipped, data[skipped:]
            self._state_gap(kind, offset)
            self._next_offset[kind] = offset + len(data)
            if not data:
                return
        elif kind == Kind.END:
            self._state_gap(int(Kind.OUT), offset)
            self._ended = True
        for at in range(0, len(data), MAX_DATA_BYTES):
            piece = data[at : at + MAX_DATA_BYTES]
            place = offset + at if kind in self._next_offset else offset
            self._put(Header(Packet.DATA, kind, flags, epoch, place, time_ns, seq), piece)

    def _expected(self, kind: int, offset: int) -> int:
        """Where the stream goes on for this subscriber. Nobody asks for a place of ERR: it begins where it begins."""
        if kind == Kind.ERR and not self._knows_err:
            self._knows_err = True
            self._next_offset[kind] = offset
        return self._next_offset[kind]

    def _turn_epoch(self, epoch: int) -> None:
        """An epoch whose end was missed has a gap of which nobody here knows the size."""
        if not self._ended and self._epoch:
            gap = encode_gap(int(Kind.OUT), self._epoch, self._next_offset[int(Kind.OUT)], UNKNOWN_OFFSET)
            self._unsent.append((gap, b""))
        self._epoch = epoch
        self._ended = False
        self._knows_err = True
        for kind in self._next_offset:
            self._next_offset[kind] = 0

    def _state_gap(self, kind: int, offset: int) -> None:
        expected = self._next_offset[kind]
        if offset > expected:
            self._unsent.append((encode_gap(kind, self._epoch, expected, offset), b""))

    def _skip_lag(self) -> None:
        """Beyond the limit the rest of it is skipped too: half the limit behind is where it goes on."""
        memory = self._follower.memory
        newest = self._follower.newest
        if not self._live or newest - self._cursor < 2 or self._cursor < memory.q[ring_layout.W_OLDEST]:
            return
        last = memory.descriptor(newest - 1)
        if last.pos - memory.pos_of(self._cursor) > self._max_lag_bytes:
            self._cursor = memory.first_frame_from(last.pos - self._max_lag_bytes // 2, self._cursor, newest)

    def _put(self, header: Header, data: bytes) -> None:
        self._unsent.append((encode_header(header), data))
