"""What the user wants, as frozen data: a fleet and its sessions.

Each option of the file is declared where the model has its field, and only there (`tables` says how).

What a key's `Applied` promises when `update` finds it changed:
    LIVE         the running program notices nothing: policies, limits, health, rotation of logs
    NEXT_START   the running program goes on with the old value
    RESTART      the running program is not the one that was asked for any more: another command, environment, user …
Of the fleet's own table, RESTART means that ringvisord itself has to be started again.

Paths are absolute, durations are seconds, amounts are bytes, signals are numbers, and names are replaced: nobody who
reads a spec needs to know how the file was written. Only what changes without the file stays open: the content of
secrets and env_files, users, the memory of the machine.
"""

import enum
from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Struct

from config.connections import Continuity, IoKind, PipeIo, PollSpec, PtyIo, Resize, SshIo, TtySpec
from config.env_value import EnvValue, SecretFile
from config.health import (
    HEALTH_CHECKS,
    ActionKind,
    AnyHealthCheck,
    ExecCheck,
    HealthAction,
    HealthCheck,
    HeartbeatCheck,
    HttpCheck,
    OutputCheck,
    ProbeCheck,
    ProcessCheck,
    ResourceCheck,
    SilenceCheck,
    TcpCheck,
)
from config.hosts import CredentialKind, HostKeyPolicy, HostSpec, SshBackend
from config.kinds import TEXT, Choice, Claimed, Command, ListOf, MapOf, OrFalse, Path
from config.limits import Limits
from config.output import Compression, LogFormat, LogSpec, RingFull, RingSpec
from config.policies import Orphans, RestartOn, RestartPolicy, RestartVerdict, RestartWhen, StopSpec
from config.quantities import MEMORY, MemoryAmount, Percent, bytes_of
from config.report import ClaimKind
from config.tables import Applied, Key, Table
from config.values import ENV_NAME_PATTERN, FLAG, NAME, UNLIMITED, USER, amount, count, duration

__all__ = [
    "UNLIMITED",
    "ActionKind",
    "AnyHealthCheck",
    "Compression",
    "Condition",
    "Continuity",
    "CredentialKind",
    "ExecCheck",
    "Fleet",
    "FleetSettings",
    "HealthAction",
    "HealthCheck",
    "HeartbeatCheck",
    "HookSpec",
    "HostKeyPolicy",
    "HostSpec",
    "HttpCheck",
    "IoKind",
    "Limits",
    "LogFormat",
    "LogSpec",
    "MemoryAmount",
    "Orphans",
    "OutputCheck",
    "Percent",
    "PipeIo",
    "PollSpec",
    "ProbeCheck",
    "ProcessCheck",
    "ProfileSpec",
    "PtyIo",
    "Resize",
    "ResourceCheck",
    "RestartOn",
    "RestartPolicy",
    "RestartVerdict",
    "RestartWhen",
    "RingFull",
    "RingSpec",
    "SecretFile",
    "SessionMaking",
    "SessionSpec",
    "SilenceCheck",
    "SshBackend",
    "SshIo",
    "StopSpec",
    "TcpCheck",
    "TtySpec",
    "bytes_of",
]

LIVE: Final = Applied.LIVE
NEXT_START: Final = Applied.NEXT_START
RESTART: Final = Applied.RESTART


class Condition(enum.StrEnum):
    STARTED = "started"
    READY = "ready"
    HEALTHY = "healthy"
    COMPLETED = "completed"


class SessionMaking(Struct, frozen=True, kw_only=True):
    """Keys of a session table that say which sessions it makes; they are used up by making them."""

    template: Annotated[str, Key(NAME, RESTART, "keys are inherited from [template.NAME]")] = ""
    io: Annotated[IoKind, Key(Choice(IoKind), RESTART, "how the program is connected")] = IoKind.PTY
    instances: Annotated[int | None, Key(count(0, 10_000), LIVE, "sessions NAME-0, NAME-1 … in group NAME")] = None
    host: Annotated[str, Key(NAME, RESTART, "where it runs: a [host.NAME], or one of ssh_config (io = ssh)")] = ""
    hosts: Annotated[tuple[str, ...], Key(ListOf(NAME), LIVE, "one session NAME@HOST on each (io = ssh)")] = ()


class SessionSpec(Struct, frozen=True, kw_only=True):
    name: str
    table: str  # the [session.TABLE] that made it
    number: int = 0  # {n}
    io: PtyIo | PipeIo | SshIo = PtyIo()
    group: Annotated[
        str, Key(NAME, LIVE, "fleet group; the table's name unless said (nothing to do with Unix groups)")
    ] = ""
    command: Annotated[
        tuple[str, ...], Key(Command(), RESTART, "program and arguments; with io = ssh none is a login shell")
    ] = ()
    cwd: Annotated[str, Key(TEXT, RESTART, "directory to start in; none: that of the file (io = ssh: the login's)")] = (
        ""
    )
    env: Annotated[
        Mapping[str, str | SecretFile],
        Key(
            MapOf(EnvValue(), ENV_NAME_PATTERN, "name for a variable"),
            RESTART,
            'variables; { file = "…" } is read at each start',
        ),
    ] = {}
    env_file: Annotated[
        tuple[str, ...],
        Key(ListOf(Claimed(Path(), ClaimKind.ENV_FILE)), RESTART, "files of NAME=value lines; env overrides them"),
    ] = ()
    login_env: Annotated[bool, Key(FLAG, RESTART, "PATH, HOME, LANG as the user's login shell has them")] = False
    user: Annotated[str, Key(Claimed(USER, ClaimKind.USER), RESTART, 'runs as: "NAME" or "NAME:GROUP"')] = ""
    tags: Annotated[tuple[str, ...], Key(ListOf(NAME), LIVE, "for selectors")] = ()
    autostart: Annotated[bool, Key(FLAG, NEXT_START, "started with the fleet")] = True
    priority: Annotated[int, Key(count(-(10**6), 10**6), LIVE, "lower starts first, stops last")] = 100
    start_seconds: Annotated[
        float, Key(duration(), LIVE, "up this long it is RUNNING; an exit before is a failure")
    ] = 1.0
    stop: Annotated[StopSpec, Key(Table(StopSpec, "signal"), LIVE, "how it is ended")] = StopSpec()
    orphans: Annotated[Orphans, Key(Choice(Orphans), LIVE, "what is left half a second after the leader ended")] = (
        Orphans.KILL
    )
    restart: Annotated[RestartPolicy, Key(Table(RestartPolicy, "policy"), LIVE, "after an end nobody asked for")] = (
        RestartPolicy()
    )
    restart_on: Annotated[RestartOn, Key(Table(RestartOn), LIVE, "reasons that overrule the policy")] = RestartOn()
    essential: Annotated[bool, Key(FLAG, LIVE, "the fleet ends with it, and with its exit code")] = False
    limits: Annotated[Limits, Key(Table(Limits), LIVE, "what the whole tree may use")] = Limits()
    ring: Annotated[RingSpec, Key(Table(RingSpec, "max_size"), LIVE, "the shared memory its output passes through")] = (
        RingSpec()
    )
    log: Annotated[LogSpec | None, Key(OrFalse(Table(LogSpec, "path")), LIVE, "the log file; false: none")] = LogSpec()
    depends_on: Annotated[
        Mapping[str, Condition],
        Key(MapOf(Choice(Condition)), NEXT_START, "sessions or groups, and what must be true of them before it starts"),
    ] = {}
    health: Annotated[tuple[AnyHealthCheck, ...], Key(HEALTH_CHECKS, LIVE, "checks")] = ()
    profile: Annotated[str, Key(NAME, LIVE, "how its output is read as typed messages")] = ""


class HookSpec(Struct, frozen=True, kw_only=True):
    """What it is about, the hook learns from its environment (RINGVISOR_…)."""

    name: str
    command: Annotated[tuple[str, ...], Key(Command(), LIVE, "run when a check or an event names the hook")]
    timeout_s: Annotated[float, Key(duration(0.001), LIVE, "then it is killed")] = 30.0


class ProfileSpec(Struct, frozen=True, kw_only=True):
    """A stream profile, as written: typed streams read it."""

    name: str
    table: Mapping[str, Any]


class FleetSettings(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Key(NAME, RESTART, "of the fleet; the directory's name unless said")] = ""
    runtime_dir: Annotated[
        str, Key(Path(), RESTART, "sockets and records; unless said /run/ringvisor/NAME, or the user's equivalent")
    ] = ""
    ring_dir: Annotated[str, Key(Path(), RESTART, "where rings live; must be a tmpfs")] = "/dev/shm"  # noqa: S108 - no file of a guessable name is made there: a private directory is
    ring_memory: Annotated[MemoryAmount, Key(MEMORY, LIVE, "cap for all rings together")] = Percent(25.0)
    state_dir: Annotated[str, Key(Path(), RESTART, "what must outlive a reboot")] = ""
    log_dir: Annotated[str, Key(Path(), LIVE, "where logs lie")] = ""
    log_format: Annotated[LogFormat, Key(Choice(LogFormat), RESTART, "of ringvisord.log: console or json")] = (
        LogFormat.CONSOLE
    )
    log_disk_max_bytes: Annotated[int, Key(amount(1), LIVE, "cap for all logs together")] = 20 * 2**30


class Fleet(FleetSettings, frozen=True, kw_only=True):
    config: str  # the main file
    sessions: Mapping[str, SessionSpec]
    hosts: Mapping[str, HostSpec]
    hooks: Mapping[str, HookSpec]
    profiles: Mapping[str, ProfileSpec]

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Session names by group, in the order of the file."""
        members: dict[str, list[str]] = {}
        for session in self.sessions.values():
            members.setdefault(session.group, []).append(session.name)
        return {group: tuple(names) for group, names in members.items()}
