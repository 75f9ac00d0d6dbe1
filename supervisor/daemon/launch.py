"""From what the user wants to what the keeper, the ring and the router are told: names become numbers here.

Asked anew at each start: users, groups, secrets and profiles may have changed since the file was read.
"""

import os
import resource
from collections.abc import Mapping
from typing import Protocol, assert_never

from childproc.spec import Io, ProgramSpec
from config.accounts import Account, NoAccountError, find_account
from config.connections import PipeIo, PtyIo, SshIo
from config.environment import Login, session_environment
from config.errors import ConfigErrors
from config.model import Compression, Limits, LogSpec, RingFull, SessionSpec
from ipc.log_directory import SessionUser
from ipc.log_retention import LogPolicy, Retention
from ipc.ring_layout import Policy
from ipc.ring_spec import RingSpec
from ipc.sink_spec import LogSpec as RouterLogSpec
from ipc.sink_spec import SinkSpec
from supervisor.daemon.process_tree import EPOCH_VARIABLE, SESSION_VARIABLE

_KEEP_ORPHANS_S = 86_400.0  # the longest that the keeper takes: in effect, as long as they live
_RLIMITS = (
    ("nofile", resource.RLIMIT_NOFILE),
    ("core_bytes", resource.RLIMIT_CORE),
    ("stack_bytes", resource.RLIMIT_STACK),
    ("address_space_bytes", resource.RLIMIT_AS),
    ("file_size_bytes", resource.RLIMIT_FSIZE),
)


class CannotLaunchError(Exception):
    """What the session needs is not there now; the message says what."""


class _Accounts(Protocol):
    def __call__(self, user: str) -> Account: ...


def program_spec(
    spec: SessionSpec, epoch: int, own_env: Mapping[str, str], login: Login, accounts: _Accounts = find_account
) -> ProgramSpec:
    try:
        account = accounts(spec.user)
        environment = session_environment(spec, own_env, account, login)
    except (NoAccountError, ConfigErrors) as problem:
        raise CannotLaunchError(str(problem)) from problem
    environment |= {SESSION_VARIABLE: spec.name, EPOCH_VARIABLE: str(epoch)}
    changes_user = account.uid != os.geteuid()
    tty = spec.io.tty if isinstance(spec.io, PtyIo) else None
    return ProgramSpec(
        argv=tuple(os.fsencode(word) for word in spec.command),
        env={os.fsencode(name): os.fsencode(value) for name, value in environment.items()},
        io=_io(spec),
        cols=tty.cols if tty else 80,
        rows=tty.rows if tty else 24,
        cwd=os.fsencode(spec.cwd) if spec.cwd else None,
        uid=account.uid if changes_user else None,
        gid=account.gid if changes_user else None,
        groups=account.groups if changes_user else None,
        nice=spec.limits.nice,
        oom_score_adj=spec.limits.oom_score_adj,
        rlimits=_rlimits(spec.limits),
    )


def _io(spec: SessionSpec) -> Io:
    match spec.io:
        case PtyIo():
            return Io.PTY
        case PipeIo():
            return Io.PIPE
        case SshIo():
            raise CannotLaunchError("sessions over SSH are not there yet")
        case _:
            assert_never(spec.io)


def _rlimits(limits: Limits) -> dict[int, tuple[int, int]]:
    wanted = {number: value for name, number in _RLIMITS if (value := getattr(limits, name)) is not None}
    if limits.cpu_time_s is not None:
        wanted[resource.RLIMIT_CPU] = int(limits.cpu_time_s)
    return {number: (value, value) for number, value in wanted.items()}


def orphan_linger_s(spec: SessionSpec) -> float:
    return 0.5 if spec.orphans == "kill" else _KEEP_ORPHANS_S


def ring_spec(spec: SessionSpec, slot: int) -> RingSpec:
    return RingSpec(
        slot,
        size_bytes=spec.ring.size_bytes,
        max_bytes=spec.ring.max_size_bytes,
        policy=_POLICIES[spec.ring.policy],
        has_log=spec.log is not None,
        gating_log=spec.log is not None and spec.log.required,
    )


_POLICIES = {
    RingFull.BLOCK: Policy.BLOCK,
    RingFull.DROP_OLDEST: Policy.DROP_OLDEST,
    RingFull.DROP_NEWEST: Policy.DROP_NEWEST,
}


def sink_spec(spec: SessionSpec, slot: int, accounts: _Accounts = find_account) -> SinkSpec:
    return SinkSpec(spec.name, slot, _log(spec, spec.log, accounts) if spec.log else None)


def _log(spec: SessionSpec, log: LogSpec, accounts: _Accounts) -> RouterLogSpec:
    directory, name = os.path.split(log.path)
    has_stderr = isinstance(spec.io, PipeIo)
    return RouterLogSpec(
        directory,
        name,
        os.path.basename(log.error_path) if has_stderr else "",
        required=log.required,
        policy=LogPolicy(max_bytes=log.max_size_bytes),
        retention=Retention(keep=log.keep),
        compress=log.compress is Compression.ZSTD,
        user=_session_user(spec, accounts),
    )


def _session_user(spec: SessionSpec, accounts: _Accounts) -> SessionUser | None:
    """Who must not be able to write to the log directory; a user that is unknown now cannot run anything either."""
    try:
        account = accounts(spec.user)
    except NoAccountError:
        return None
    return SessionUser(account.uid, frozenset(account.groups))
