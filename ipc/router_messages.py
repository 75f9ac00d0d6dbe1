"""What the router and its clients say to each other, over a SEQPACKET socket.

Requests and answers are msgpack messages. A client says Hello, then either gives orders (the supervisor: each is
answered by Done, Failed or RouterStatus, with its id), or subscribes. An order is answered once it is carried out: one
to a log that hangs is answered when that log goes on, and others do not wait for it.

After Subscribed the connection carries only the stream, and a Goodbye at its end: packets that begin with a byte below
0x20, each of them one of

    DATA        32 bytes of header, then the bytes of one stream, at most 64 KB
    GAP         the same header, then the offset at which the gap ends, as u64: bytes that this subscriber will not get
    CAUGHT_UP   header only: everything up to where the stream stood when the subscription began has been sent

Header: packet u8, kind u8, flags u16, epoch u32, offset u64, time u64 (CLOCK_MONOTONIC ns, 0 from a log), seq u64 (0
from a log). Frames of other kinds (BEGIN, END, RESIZE) come as DATA of their kind with their payload; a log has none
of them. A place is one of OUT: who comes back with `Since` gets each byte of OUT once, and ERR and other frames that
stand right at that place again: their offsets and seq tell.
"""

import struct
from enum import IntEnum
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from ipc.errors import UNREADABLE, ProtocolError

VERSION = 1
OLDEST = 1  # of the other side, while two releases are at work
MAX_DATA_BYTES = 1 << 16
UNKNOWN_OFFSET = 2**64 - 1
MOST_NAMED = 256  # sessions in one status: a packet is no place for thousands

SessionName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.@:-]{1,160}\Z")]
Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Epoch = Annotated[int, Meta(ge=0, le=2**32 - 1)]
LineCount = Annotated[int, Meta(ge=0, le=1_000_000)]


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    version: int = OLDEST  # so that one of the release before understands it


class Now(msgspec.Struct, frozen=True, tag="now"):
    """From the next byte on."""


class Since(msgspec.Struct, frozen=True, tag="since"):
    epoch: Epoch
    offset: Count


class LastBytes(msgspec.Struct, frozen=True, tag="last_bytes"):
    count: Count


class LastLines(msgspec.Struct, frozen=True, tag="last_lines"):
    count: LineCount


Origin = Now | Since | LastBytes | LastLines


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe"):
    session: SessionName
    origin: Origin
    max_lag_bytes: Annotated[int, Meta(ge=4096, le=2**40)] = 1 << 20


class Serve(msgspec.Struct, frozen=True, tag="serve"):
    """The session's sink file is new or has changed."""

    id: Id
    session: SessionName


class Drop(msgspec.Struct, frozen=True, tag="drop"):
    """The session is about to be forgotten: what stands in its ring is written first."""

    id: Id
    session: SessionName


class LogOrder(msgspec.Struct, frozen=True, tag="log_order"):
    """`order` for these sessions, or for all of them: rotate, reopen (after somebody renamed the files), clear."""

    id: Id
    order: str
    sessions: list[str] | None = None


class AskStatus(msgspec.Struct, frozen=True, tag="ask_status"):
    id: Id


class Done(msgspec.Struct, frozen=True, tag="done"):
    id: Id


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    id: Id
    reason: str


class LogStatus(msgspec.Struct, frozen=True):
    session: str
    failing_since_ns: int  # wall clock
    reason: str


class SetAside(msgspec.Struct, frozen=True):
    """Not served for a while: nobody reads its ring."""

    session: str
    reason: str


class RouterStatus(msgspec.Struct, frozen=True, tag="router_status"):
    id: Id
    subscribers: int
    lanes: int
    failing: list[LogStatus]  # at most MOST_NAMED of them
    failing_count: int
    set_aside: list[SetAside]  # likewise
    set_aside_count: int


class Subscribed(msgspec.Struct, frozen=True, tag="subscribed"):
    session: str
    epoch: int
    offset: int  # where the stream stands now


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    reason: str


ToRouter = Hello | Subscribe | Serve | Drop | LogOrder | AskStatus
FromRouter = Done | Failed | RouterStatus | Subscribed | Goodbye

_encoder = msgspec.msgpack.Encoder()
_to_router: msgspec.msgpack.Decoder[ToRouter] = msgspec.msgpack.Decoder(ToRouter)
_from_router: msgspec.msgpack.Decoder[FromRouter] = msgspec.msgpack.Decoder(FromRouter)


class Packet(IntEnum):
    DATA = 1
    GAP = 2
    CAUGHT_UP = 3


class Header(NamedTuple):
    packet: int
    kind: int
    flags: int
    epoch: int
    offset: int
    time_ns: int
    seq: int


_HEADER = struct.Struct("<BBHIQQQ")
_OFFSET = struct.Struct("<Q")
HEADER_BYTES = _HEADER.size


def encode(message: ToRouter | FromRouter) -> bytes:
    return _encoder.encode(message)


def decode_to_router(packet: bytes) -> ToRouter:
    try:
        return _to_router.decode(packet)
    except UNREADABLE as error:
        raise ProtocolError(f"not a message of version {VERSION}: {error}") from error


def is_stream(packet: bytes) -> bool:
    return bool(packet) and packet[0] < 0x20


def decode_from_router(packet: bytes) -> FromRouter:
    return _from_router.decode(packet)


def encode_header(header: Header) -> bytes:
    return _HEADER.pack(*header)


def encode_gap(kind: int, epoch: int, start: int, end: int) -> bytes:
    return _HEADER.pack(Packet.GAP, kind, 0, epoch, start, 0, 0) + _OFFSET.pack(end)


def decode_stream(packet: bytes) -> tuple[Header, bytes]:
    return Header._make(_HEADER.unpack_from(packet)), packet[HEADER_BYTES:]


def decode_gap_end(payload: bytes) -> int:
    end: int = _OFFSET.unpack(payload)[0]
    return end
