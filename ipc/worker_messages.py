"""What a worker and its clients say to each other: one msgpack message in each packet of a SEQPACKET socket.

A client speaks first (Hello), the worker answers Greeting or Goodbye. Each Input and CloseInput is answered, with its
id: Refused at once, or Written when the last byte of it has gone into the terminal or pipe, or Discarded when a
Ctrl-C swept it away or nobody is left to read it. A client that loses its worker and has no answer asks the next one:
its greeting says how many bytes of this epoch had gone in for certain, and how many were in the one write that was
interrupted, of which nobody knows.

Clients that type for a person Claim the session first: one of them is the writer, and Lease says who, whenever that
changes. What the others send is refused. Clients that never claim are not held back.

A keeper that came after the one that forked the worker asks it to Lend copies of its fds.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from ipc.errors import UNREADABLE, ProtocolError

VERSION = 1
OLDEST = 1  # of the other side, while two releases are at work
MAX_INPUT_BYTES = 1 << 16

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Size = Annotated[int, Meta(ge=1, le=65535)]


class Refusal(StrEnum):
    FULL = "input_full"
    LINE_TOO_LONG = "canonical_line_too_long"
    CLOSED = "input_closed"
    NOT_WRITER = "another_client_writes"


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    version: int = OLDEST  # so that one of the release before understands it


class Input(msgspec.Struct, frozen=True, tag="input"):
    id: Id
    data: Annotated[bytes, Meta(max_length=MAX_INPUT_BYTES)]


class CloseInput(msgspec.Struct, frozen=True, tag="close_input"):
    """End of file: closes a pipe; a terminal gets its end-of-file character."""

    id: Id


class Resize(msgspec.Struct, frozen=True, tag="resize"):
    cols: Size
    rows: Size


class Claim(msgspec.Struct, frozen=True, tag="claim"):
    """I want to be the one who types: when those before me are gone, or, stealing, now."""

    steal: bool = False


class Lend(msgspec.Struct, frozen=True, tag="lend"):
    """I am a keeper that did not fork you: what do you hold?"""


class Greeting(msgspec.Struct, frozen=True, tag="greeting"):
    session: str
    epoch: int
    program_pid: int
    cols: int
    rows: int
    input_offset: int
    in_doubt_bytes: int  # behind input_offset: may have gone in when the worker before this one was killed
    version: int = VERSION


class Written(msgspec.Struct, frozen=True, tag="written"):
    id: Id
    input_offset: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    id: Id
    reason: Refusal
    queued_bytes: int
    limit_bytes: int


class Discarded(msgspec.Struct, frozen=True, tag="discarded"):
    id: Id


class Lease(msgspec.Struct, frozen=True, tag="lease"):
    """Whether it is you who types, from now on."""

    held: bool


class Lent(msgspec.Struct, frozen=True, tag="lent"):
    """With fds: the program's pidfd, then these."""

    epoch: int
    streams: tuple[str, ...]  # master; or stdin, if it is open, stdout, stderr


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    reason: str


ToWorker = Hello | Input | CloseInput | Resize | Claim | Lend
FromWorker = Greeting | Written | Refused | Discarded | Lease | Lent | Goodbye

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: ToWorker | FromWorker) -> bytes:
    return _encoder.encode(message)


def decode_to_worker(packet: bytes) -> ToWorker:
    try:
        return _to_worker.decode(packet)
    except UNREADABLE as error:
        raise ProtocolError(f"not a message of version {VERSION}: {error}") from error


def decode_from_worker(packet: bytes) -> FromWorker:
    try:
        return _from_worker.decode(packet)
    except UNREADABLE as error:
        raise ProtocolError(f"not a message of version {VERSION}: {error}") from error
