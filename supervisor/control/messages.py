"""What clients and the supervisor say to each other: msgpack in frames (`ipc.framing`), `type` names the message.

    client                           supervisor
       Hello(version)      ------>
                           <------   Welcome | Goodbye(reason)
       request(id, ...)    ------>
                           <------   Outcome(id, ...) for each session as it is known, then Done(id)
                           <------   or one answer of the request's own, or Failed(id, reason)

Requests may overlap: each answer carries the id of its request, and none waits for another. A subscriber to events that
reads too slowly is told how many it missed.
"""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ipc.errors import UNREADABLE, ProtocolError

VERSION = 1
OLDEST = 1  # of the other side, while two releases are at work
MAX_REQUEST_BYTES = 1 << 20
MAX_ANSWER_BYTES = 64 << 20
NOT_PERMITTED = "not permitted"  # a Goodbye whose reason begins so is final

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Names = Annotated[list[str], Meta(max_length=10_000)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class _Message(Struct, frozen=True, tag=True, tag_field="type", forbid_unknown_fields=True):
    pass


class _Request(_Message, frozen=True):
    id: Id


# ---- requests


class Hello(_Message, frozen=True):
    version: int = OLDEST  # so that one of the release before understands it


class Verb(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"


class Act(_Request, frozen=True):
    """One Outcome for each session. wait: the Outcome comes once it has started, or stopped, or failed to."""

    verb: Verb
    selectors: Names
    wait: bool = True


class SendSignal(_Request, frozen=True):
    signum: Annotated[int, Meta(ge=1, le=64)]
    selectors: Names


class GetStatus(_Request, frozen=True):
    """All sessions where no selector is given."""

    selectors: Names = []


class Reread(_Request, frozen=True):
    """What an update would change; nothing is changed."""


class Update(_Request, frozen=True):
    """Read the file again and apply what differs, in these groups or in all."""

    groups: Names = []
    wait: bool = True


class Avail(_Request, frozen=True):
    """Every session of the fleet file, whether it is in use or not."""


class AddGroup(_Request, frozen=True):
    group: str


class RemoveGroup(_Request, frozen=True):
    group: str


class LogOrder(_Request, frozen=True):
    order: str  # clear, reopen, rotate
    selectors: Names = []


class Inspect(_Request, frozen=True):
    session: str


class Explain(_Request, frozen=True):
    session: str


class Scale(_Request, frozen=True):
    """So many instances of this table; kept over restarts of ringvisord."""

    table: str
    instances: Annotated[int, Meta(ge=0, le=10_000)]
    wait: bool = True


class RunProgram(_Request, frozen=True):
    """A session from the command line. One Outcome, with its name: it runs, or could not be started."""

    command: Annotated[list[str], Meta(min_length=1, max_length=10_000)]
    cwd: str
    env: dict[str, str] = {}
    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{0,64}$")] = ""  # "": from the command
    pipe: bool = False
    keep: bool = False  # part of the fleet until it is removed; else gone once it has ended


class EndInput(_Request, frozen=True):
    """The keeper's own end of a program's stdin is closed: with the worker's, that is the end of file. One Outcome."""

    session: str


class AwaitEnd(_Request, frozen=True):
    """Ended, once the epoch under way has; or the last one, where none is."""

    session: str


class FollowEvents(_Request, frozen=True):
    """The last ones first, then each as it happens if `follow`."""

    last: Annotated[int, Meta(ge=0, le=10_000)] = 0
    follow: bool = True


class Reload(_Request, frozen=True):
    """Start the supervisor anew on the file as it is now; sessions stay."""


class Upgrade(_Request, frozen=True):
    """The installed code takes over. An UpgradeStep for each step that is done, then Done or Failed. The supervisor is
    replaced on the way: who is hung up on asks the next one to go on telling. Nobody need listen."""

    dry_run: bool = False


class AwaitUpgrade(_Request, frozen=True):
    """Of the upgrade that is under way, or else of the last one, the steps from this number on; then as Upgrade."""

    known: Annotated[int, Meta(ge=0, le=1000)] = 0
    begun_since_s: float = 0.0  # the clock on the wall: none that began before


class Shutdown(_Request, frozen=True):
    """Stop every session in order, then end."""


Request = (
    Hello | Act | SendSignal | GetStatus | Reread | Update | Avail | AddGroup | RemoveGroup | LogOrder | Inspect
    | Explain | Scale | RunProgram | EndInput | AwaitEnd | FollowEvents | Reload | Upgrade | AwaitUpgrade | Shutdown
)  # fmt: skip


# ---- answers


class Welcome(_Message, frozen=True):
    fleet: str
    release: str
    keeper_pid: int
    version: int = VERSION


class Goodbye(_Message, frozen=True):
    reason: str


class Failed(_Message, frozen=True):
    id: Id
    reason: str
    code: str = "failed"  # no_such_session, already_shutting_down, invalid_config, …


class Done(_Message, frozen=True):
    id: Id


class Outcome(_Message, frozen=True):
    """`result` is one of supervisord's words: started, stopped, signalled, cleared, or why not."""

    id: Id
    session: str  # as it is shown: web:web-0
    result: str
    ok: bool


class Containment(Struct, frozen=True):
    kill: str
    memory: str
    cpu: str
    pids: str


class FleetStatus(Struct, frozen=True):
    name: str
    state: str
    pid: int
    processes: dict[str, int]
    started_at: str
    runtime_dir: str
    config: str


class SessionStatus(Struct, frozen=True):
    name: str
    group: str
    tags: list[str]
    state: str
    desired: str
    pid: int
    worker_pid: int
    epoch: int
    started_at: str | None
    uptime_s: float | None
    restarts: int
    exit: dict[str, Any] | None
    io: str
    offset: int
    lost_bytes: int
    health: str
    containment: Containment
    log: str | None
    description: str  # what `status` shows in its third column


class StatusReport(_Message, frozen=True):
    id: Id
    fleet: FleetStatus
    sessions: list[SessionStatus]
    unknown: list[str]  # selectors that fit nothing


class PlanReport(_Message, frozen=True):
    id: Id
    added: list[str]  # groups
    removed: list[str]
    changed: list[str]
    sessions: dict[str, dict[str, str]]  # session: key: live | next_start | restart
    kept: int


class AvailRow(Struct, frozen=True):
    name: str
    in_use: bool
    autostart: bool
    priority: int


class AvailReport(_Message, frozen=True):
    id: Id
    sessions: list[AvailRow]


class Facts(_Message, frozen=True):
    """`inspect` and `explain`: what there is to say about a session."""

    id: Id
    facts: dict[str, Any]


class Ended(_Message, frozen=True):
    id: Id
    session: str
    exit: dict[str, Any] | None


class UpgradeStep(_Message, frozen=True):
    id: Id
    number: int
    step: str  # trying, supervisor, keeper, router, workers
    said: str
    took_s: float
    paused_s: float  # the longest time in which some output did not move


class Happened(_Message, frozen=True):
    id: Id
    time: str
    session: str
    event: str
    state: str
    detail: dict[str, Any]


class Missed(_Message, frozen=True):
    """So many events were not sent to this subscriber, because it did not read."""

    id: Id
    count: int


Answer = (
    Welcome | Goodbye | Failed | Done | Outcome | StatusReport | PlanReport | AvailReport | Facts | Ended | Happened
    | Missed | UpgradeStep
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def encode(message: Request | Answer) -> bytes:
    return _encoder.encode(message)


def decode_request(payload: bytes) -> Request:
    try:
        return _requests.decode(payload)
    except UNREADABLE as error:
        raise ProtocolError(f"not a request of version {VERSION}: {error}") from error


def decode_answer(payload: bytes) -> Answer:
    try:
        return _answers.decode(payload)
    except UNREADABLE as error:
        raise ProtocolError(f"not an answer of version {VERSION}: {error}") from error
