"""How an epoch ended, typed: restart policies, status, events and metrics all speak these.

Encoded they are the `exit` of `ringctl status --json`: {"reason": "exited", "code": 3}.
"""

from typing import assert_never

from msgspec import Struct, field


class _Reason(Struct, frozen=True, omit_defaults=True, tag_field="reason"):
    pass


class Exited(_Reason, frozen=True, tag="exited"):
    code: int


class Signalled(_Reason, frozen=True, tag="signalled"):
    signal: str  # "SIGSEGV"
    core: bool = False


class Oom(_Reason, frozen=True, tag="oom"):
    """The kernel killed it because its memory limit was reached."""


class SpawnFailed(_Reason, frozen=True, tag="spawn_failed"):
    errno: str  # "ENOENT"; "" where no system call failed
    message: str


class Hung(_Reason, frozen=True, tag="hung"):
    """A health check had it ended."""

    check: str = ""
    message: str = ""


class Limit(_Reason, frozen=True, tag="limit"):
    which: str


class Lost(_Reason, frozen=True, tag="lost"):
    """The connection to a remote program is gone for good."""

    phase: str
    kind: str = field(name="class")


class Stopped(_Reason, frozen=True, tag="stopped"):
    by: str


class Unknown(_Reason, frozen=True, tag="unknown"):
    """Nobody saw how it ended."""


ExitReason = Exited | Signalled | Oom | SpawnFailed | Hung | Limit | Lost | Stopped | Unknown


def reason_name(reason: ExitReason) -> str:
    """As in the JSON, in restart_on and in metrics."""
    return str(reason.__struct_config__.tag)


def in_words(reason: ExitReason) -> str:
    """As behind the name in `status` and in log lines."""
    match reason:
        case Exited(code=code):
            return f"exit status {code}"
        case Signalled(signal=name, core=core):
            return f"terminated by {name}" + (" (core dumped)" if core else "")
        case Oom():
            return "out of memory"
        case SpawnFailed(message=message):
            return message
        case Hung(check=check, message=message):
            return " ".join(("hung", *(part for part in (check, message) if part)))
        case Limit(which=which):
            return f"limit {which} reached"
        case Lost(phase=phase, kind=kind):
            return f"connection lost ({phase}, {kind})"
        case Stopped(by=by):
            return f"stopped by {by}"
        case Unknown():
            return "nobody saw how it ended"
        case _:
            assert_never(reason)
