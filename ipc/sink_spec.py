"""What the router does with a session's output, as it stands in `<session>.sink` beside the ring.

Written by the supervisor, read by the router: by each new one for itself, so that a router that comes back needs
nobody to tell it anything. The name appears only once the file is whole.
"""

import os
from typing import Annotated

import msgspec
from msgspec import Meta

from ipc.board import MAX_SESSIONS
from ipc.errors import UNREADABLE, ProtocolError
from ipc.log_directory import SessionUser
from ipc.log_retention import LogPolicy, Retention

VERSION = 1
_SUFFIX = ".sink"
_FILE_NAME = r"\A(?!\.{1,2}\Z)[^/\0]+\Z"
FileName = Annotated[str, Meta(pattern=_FILE_NAME, max_length=200)]


class LogSpec(msgspec.Struct, frozen=True):
    """`name` holds the terminal's output or stdout; `err_name`, for pipes, stderr: "" where there is none."""

    directory: Annotated[str, Meta(pattern=r"\A[^\0]+\Z")]
    name: FileName
    err_name: Annotated[str, Meta(pattern=rf"\A\Z|{_FILE_NAME}", max_length=200)]
    required: bool = True
    policy: LogPolicy = LogPolicy()
    retention: Retention = Retention()
    compress: bool = True
    user: SessionUser | None = None

    def __post_init__(self) -> None:
        if self.name == self.err_name:
            raise ValueError(f"both streams cannot be logged to {self.name}")

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, self.err_name) if self.err_name else (self.name,)

    @property
    def rotates(self) -> bool:
        policy = self.policy
        return policy.max_bytes is not None or policy.interval_s is not None or policy.daily


class SinkSpec(msgspec.Struct, frozen=True):
    session: str
    slot: Annotated[int, Meta(ge=0, lt=MAX_SESSIONS)]
    log: LogSpec | None = None
    version: int = VERSION


_decoder = msgspec.msgpack.Decoder(SinkSpec)


def write_sink(ring_dir: str, spec: SinkSpec) -> None:
    path = f"{ring_dir}/{spec.session}{_SUFFIX}"
    temporary = path + ".new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, msgspec.msgpack.encode(spec))
    finally:
        os.close(fd)
    os.rename(temporary, path)


def read_sink(ring_dir: str, session: str) -> SinkSpec:
    with open(f"{ring_dir}/{session}{_SUFFIX}", "rb") as file:
        raw = file.read()
    try:
        spec = _decoder.decode(raw)
    except UNREADABLE as error:
        raise ProtocolError(f"the sink file of {session} is damaged: {error}") from error
    if spec.version != VERSION:
        raise ProtocolError(f"the sink file of {session} has version {spec.version}, this is {VERSION}")
    if spec.session != session:
        raise ProtocolError(f"the sink file of {session} is that of {spec.session}")
    return spec


def sessions_with_sinks(ring_dir: str) -> list[str]:
    with os.scandir(ring_dir) as entries:
        return sorted(entry.name.removesuffix(_SUFFIX) for entry in entries if entry.name.endswith(_SUFFIX))
