"""What supervisor and keeper say to each other: one msgpack map a packet, `type` names the message.

    supervisor                            keeper
       Hello(version)           ------>
                                <------   Welcome, TableReport (rid 0), then every report not acknowledged yet
       request(rid, ...)        ------>
                                <------   Done(rid) | Refused(rid) | TableReport(rid)
       Start(rid, ...)          ------>
                                <------   Started | StartFailed | Refused(rid)
       Ack(seq), Tell(words)    ------>
                                <------   events, as they happen

StartFailed, ProgramExited and SignalReceived are reports: they carry a sequence number, and are sent again to each new
supervisor until one acknowledges them. All other events tell of states that TableReport has too, so that one
who missed them misses nothing. A packet that does not decode, or breaks the order above, gets Goodbye with the
reason and then the end of the connection.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from childproc.spec import Phase, ProgramSpec
from ipc.ring_spec import RingSpec

VERSION = 1
OLDEST = 1  # of the other side, where one of the two is newer
MAX_PACKET_BYTES = 4 << 20  # the kernel's own limit for arguments and environment is below that

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Epoch = Annotated[int, Meta(ge=1, lt=2**32)]
SessionName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@-]{1,129}\Z")]  # NAME, or NAME@HOST
Seconds = Annotated[float, Meta(ge=0, le=86400)]
SignalNumber = Annotated[int, Meta(ge=1, le=64)]


class Exited(Struct, frozen=True, tag=True):
    code: int


class Signalled(Struct, frozen=True, tag=True):
    signal: int
    core: bool


class Unseen(Struct, frozen=True, tag=True):
    """It ended, and nobody is left who could say how."""


WaitStatus = Exited | Signalled | Unseen


def wait_status(raw: int | None) -> WaitStatus:
    """As wait(2) has it; None: unknown."""
    if raw is None:
        return Unseen()
    if signal := raw & 0x7F:
        return Signalled(signal, core=bool(raw & 0x80))
    return Exited(raw >> 8)


class Target(StrEnum):
    LEADER = "leader"
    GROUP = "group"


class _Message(Struct, frozen=True, tag=True, tag_field="type"):
    pass


class _Request(_Message, frozen=True, forbid_unknown_fields=True):
    rid: Count


# ---- from the supervisor


class Hello(_Message, frozen=True):
    version: int


class Ack(_Message, frozen=True, forbid_unknown_fields=True):
    seq: Count


class Tell(_Message, frozen=True, forbid_unknown_fields=True):
    """Words of sd_notify's protocol, for whoever started ringvisord. Nothing answers it."""

    words: Annotated[str, Meta(max_length=4096)]


class Create(_Request, frozen=True):
    """Make the session's ring. Done again with the same ring it changes nothing."""

    session: SessionName
    ring: RingSpec


class Start(_Request, frozen=True):
    """Run the program as this epoch, which must be later than any that was ever started here."""

    session: SessionName
    epoch: Epoch
    program: ProgramSpec
    orphan_linger_s: Seconds = 0.5
    stall_max_s: Seconds = 30.0


class Signal(_Request, frozen=True):
    session: SessionName
    epoch: Epoch
    signum: SignalNumber
    target: Target = Target.LEADER


class CloseStdin(_Request, frozen=True):
    """Close the keeper's copy of a pipe session's input; the worker closes its own when a client asks it."""

    session: SessionName
    epoch: Epoch


class Forget(_Request, frozen=True):
    """Drop an idle session and its ring. Which epochs it had is forgotten too."""

    session: SessionName


class GetTable(_Request, frozen=True):
    pass


class TryCode(_Request, frozen=True):
    """Run the installed code dry, with the real state. Tried, or Refused with its last words."""

    speaks: dict[str, int] = {}  # protocol or layout: version, as the running code has them


class TrySupervisor(_Request, frozen=True):
    """Load the installed code beside ours, and replace the supervisor by one of it, on trial. Refused, or never
    answered: the table of the next supervisor says that it is on trial, or why it did not pass."""


class InCharge(_Request, frozen=True):
    """A supervisor on trial has begun: it stays, and the code that was there before is let go of."""


class Reexec(_Request, frozen=True):
    """Try the code on disk dry, then become it, with the same pid, children and fds."""


class ReplaceService(_Request, frozen=True):
    """End it, in order, and start it anew. Done when it is told to end; ServiceStarted tells of the next one."""

    name: str


class ReplaceWorker(_Request, frozen=True):
    """Have it make place for the next one, of the code that the keeper has. WorkerStarted tells of that."""

    session: SessionName
    epoch: Epoch


class Shutdown(_Request, frozen=True):
    """End the keeper. leave: everything that runs stays; else refused while a program runs."""

    leave: bool
    exit_code: Annotated[int, Meta(ge=0, le=255)] = 0


Asked = (
    Create
    | Start
    | Signal
    | CloseStdin
    | Forget
    | GetTable
    | TryCode
    | TrySupervisor
    | InCharge
    | Reexec
    | ReplaceService
    | ReplaceWorker
    | Shutdown
)
Unanswered = Ack | Tell
Request = Hello | Unanswered | Asked


# ---- from the keeper


class Welcome(_Message, frozen=True):
    version: int
    keeper_pid: int


class Goodbye(_Message, frozen=True):
    reason: str


class Done(_Message, frozen=True):
    rid: int


class Refused(_Message, frozen=True):
    rid: int
    errno: int  # 0 where no system call failed
    reason: str


class Tried(_Message, frozen=True):
    rid: int
    said: str  # by the code that was tried


class TrialState(StrEnum):
    NONE = "none"
    UNDER_WAY = "under_way"
    PASSED = "passed"
    FAILED = "failed"


class Trial(Struct, frozen=True):
    """Of a supervisor of newer code; what the last one came to."""

    state: TrialState = TrialState.NONE
    why: str = ""  # it failed


class SessionRow(Struct, frozen=True):
    session: str
    slot: int
    last_epoch: int  # 0: none yet
    program: str  # ProgramState
    pid: int
    output: str  # OutputState
    worker_pid: int
    report: int  # the epoch's end, if not acknowledged yet; else 0
    worker_is_stopped: bool = False


class ServiceRow(Struct, frozen=True):
    name: str
    pid: int  # 0: not running


class TableReport(_Message, frozen=True):
    rid: int
    sessions: list[SessionRow]
    services: list[ServiceRow]
    trial: Trial = Trial()


class Started(_Message, frozen=True):
    session: str
    epoch: int
    pid: int
    time_ns: int  # CLOCK_MONOTONIC, here and below


class StartFailed(_Message, frozen=True):
    seq: int
    session: str
    epoch: int
    errno: int  # 0: killed before it ran
    phase: Phase
    path: bytes
    message: str
    time_ns: int


class ProgramExited(_Message, frozen=True):
    seq: int
    session: str
    epoch: int
    status: WaitStatus
    time_ns: int


class SignalReceived(_Message, frozen=True):
    """Somebody signalled the main process: it is the supervisor that knows what TERM or HUP mean."""

    seq: int
    signum: int


class OutputEnded(_Message, frozen=True):
    """The worker is done. refused: it could not use the ring, and nobody reads the program's output."""

    session: str
    epoch: int
    refused: bool


class WorkerStarted(_Message, frozen=True):
    session: str
    epoch: int
    pid: int


class WorkerDied(_Message, frozen=True):
    session: str
    epoch: int
    status: WaitStatus | None  # None: it could not be forked
    respawn_in_s: float


class WorkerStopped(_Message, frozen=True):
    """By SIGSTOP or a debugger; or it goes on after that."""

    session: str
    epoch: int
    is_stopped: bool


class ServiceStopped(_Message, frozen=True):
    name: str
    is_stopped: bool


class ServiceStarted(_Message, frozen=True):
    name: str
    pid: int


class ServiceDied(_Message, frozen=True):
    name: str
    status: WaitStatus | None  # None: it never ran
    respawn_in_s: float


Report = StartFailed | ProgramExited | SignalReceived
Event = (
    Report
    | Started
    | OutputEnded
    | WorkerStarted
    | WorkerStopped
    | WorkerDied
    | ServiceStarted
    | ServiceStopped
    | ServiceDied
)
Answer = Welcome | Goodbye | Done | Refused | Tried | TableReport

encode = msgspec.msgpack.Encoder().encode
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_answers: msgspec.msgpack.Decoder[Event | Answer] = msgspec.msgpack.Decoder(Event | Answer)


def decode_request(packet: bytes) -> Request:
    return _requests.decode(packet)


def decode_event(packet: bytes) -> Event | Answer:
    return _answers.decode(packet)
