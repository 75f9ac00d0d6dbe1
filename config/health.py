"""Health checks as data. All share interval, thresholds and action; each type adds what it looks at."""

import enum
from typing import Annotated, Final, get_args

from msgspec import Struct

from config.kinds import TEXT, Command, ListOf, Scalar, Schema, Scope
from config.located import Node
from config.quantities import MEMORY, MemoryAmount
from config.suggest import suggest
from config.tables import Applied, Key, Tagged
from config.units import parse_signal, shown
from config.values import FLAG, NAME_PATTERN, PERCENT, PORT, REGEX, URL, count, duration, text_like

LIVE: Final = Applied.LIVE


class ActionKind(enum.StrEnum):
    RESTART = "restart"
    STOP = "stop"
    MARK = "mark"
    SIGNAL = "signal"
    HOOK = "hook"


class HealthAction(Struct, frozen=True):
    kind: ActionKind
    signal: int = 0  # of SIGNAL
    hook: str = ""  # of HOOK


def parse_action(raw: object) -> HealthAction:
    """restart | stop | mark | signal:NAME | hook:NAME"""
    word, colon, argument = raw.partition(":") if isinstance(raw, str) else ("", "", "")
    match word:
        case "signal" if argument:
            return HealthAction(ActionKind.SIGNAL, signal=parse_signal(argument))
        case "hook" if argument:
            return HealthAction(ActionKind.HOOK, hook=argument)
        case "restart" | "stop" | "mark" if not colon:
            return HealthAction(ActionKind(word))
    near = suggest(word, ActionKind)
    hint = f'; did you mean "{near}"?' if near and near != word else ""
    raise ValueError(f"{shown(raw)} is none of restart, stop, mark, signal:NAME, hook:NAME{hint}")


_ACTION = Scalar(parse_action, text_like(f"restart|stop|mark|signal:[A-Z0-9+-]+|hook:{NAME_PATTERN}"))


class HealthCheck(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every check has. `failures` in a row make the session unhealthy, `successes` in a row healthy again."""

    interval_s: Annotated[float, Key(duration(0.01), LIVE, "time from one look to the next")] = 30.0
    timeout_s: Annotated[float, Key(duration(0.001), LIVE, "a look that takes longer has failed")] = 5.0
    start_period_s: Annotated[float, Key(duration(), LIVE, "failures this soon after a start do not count")] = 0.0
    failures: Annotated[int, Key(count(1), LIVE, "failures in a row that make it unhealthy")] = 3
    successes: Annotated[int, Key(count(1), LIVE, "successes in a row that make it healthy again")] = 1
    action: Annotated[
        HealthAction,
        Key(_ACTION, LIVE, "what is done then: restart, stop, mark (say so, do nothing), signal:NAME, hook:NAME"),
    ] = HealthAction(ActionKind.MARK)


class ExecCheck(HealthCheck, frozen=True, kw_only=True, tag="exec"):
    command: Annotated[tuple[str, ...], Key(Command(), LIVE, "healthy when it exits with 0")]


class TcpCheck(HealthCheck, frozen=True, kw_only=True, tag="tcp"):
    host: Annotated[str, Key(TEXT, LIVE, "connected to")] = "127.0.0.1"
    port: Annotated[int, Key(PORT, LIVE, "healthy when it accepts a connection")]


class HttpCheck(HealthCheck, frozen=True, kw_only=True, tag="http"):
    url: Annotated[str, Key(URL, LIVE, "asked for")]
    method: Annotated[str, Key(TEXT, LIVE, "of the request")] = "GET"
    status: Annotated[
        tuple[int, ...],
        Key(ListOf(count(100, 599)), LIVE, "answers that are healthy; none named: 200 to 399"),
    ] = ()
    body: Annotated[str | None, Key(REGEX, LIVE, "regular expression that the answer must match; none: any")] = None


class OutputCheck(HealthCheck, frozen=True, kw_only=True, tag="output"):
    match: Annotated[str | None, Key(REGEX, LIVE, "regular expression that must appear in each interval")] = None
    unless: Annotated[str | None, Key(REGEX, LIVE, "regular expression that must not appear")] = None


class SilenceCheck(HealthCheck, frozen=True, kw_only=True, tag="silence"):
    longer_than_s: Annotated[float, Key(duration(0.001), LIVE, "without output this long it has failed")]


class HeartbeatCheck(HealthCheck, frozen=True, kw_only=True, tag="heartbeat"):
    """sd_notify: READY=1 makes the session ready, WATCHDOG=1 is a beat."""

    timeout_s: Annotated[float, Key(duration(0.001), LIVE, "longest time between two beats")] = 30.0
    failures: Annotated[int, Key(count(1), LIVE, "missed beats in a row that make it unhealthy")] = 1


class ProbeCheck(HealthCheck, frozen=True, kw_only=True, tag="probe"):
    send: Annotated[str, Key(TEXT, LIVE, "written to the program, as it stands")]
    expect: Annotated[str, Key(REGEX, LIVE, "regular expression that must answer within the timeout")]


class ResourceCheck(HealthCheck, frozen=True, kw_only=True, tag="resource"):
    """Healthy while below each threshold that is named."""

    memory: Annotated[MemoryAmount | None, Key(MEMORY, LIVE, "bytes, or percent of the machine's memory")] = None
    cpu_percent: Annotated[float | None, Key(PERCENT, LIVE, "percent of one core")] = None
    fds: Annotated[int | None, Key(count(1), LIVE, "open file descriptors of the whole tree")] = None
    pids: Annotated[int | None, Key(count(1), LIVE, "processes and threads of the whole tree")] = None
    for_s: Annotated[float, Key(duration(), LIVE, "exceeded this long it has failed")] = 60.0


class ProcessCheck(HealthCheck, frozen=True, kw_only=True, tag="process"):
    stopped: Annotated[bool, Key(FLAG, LIVE, "a stopped program (SIGSTOP, a debugger) has failed")] = True
    zombies: Annotated[int, Key(count(), LIVE, "this many dead children that nobody reaped: failed; 0: any")] = 10
    blocked_s: Annotated[
        float, Key(duration(), LIVE, "uninterruptible (state D) this long: failed; 0: does not matter")
    ] = 60.0


AnyHealthCheck = (
    ExecCheck
    | TcpCheck
    | HttpCheck
    | OutputCheck
    | SilenceCheck
    | HeartbeatCheck
    | ProbeCheck
    | ResourceCheck
    | ProcessCheck
)

_CHECKS: Final = Tagged(get_args(AnyHealthCheck))


class _Check(Struct, frozen=True, eq=False):
    def read(self, node: Node, scope: Scope) -> object:
        check = _CHECKS.read(node, scope)
        if isinstance(check, HealthCheck):
            _refuse_empty(check, node, scope)
        return check

    def schema(self) -> Schema:
        return _CHECKS.schema()


_NEEDS_ONE_OF: Final = {OutputCheck: ("match", "unless"), ResourceCheck: ("memory", "cpu", "fds", "pids")}


def _refuse_empty(check: HealthCheck, node: Node, scope: Scope) -> None:
    needed = _NEEDS_ONE_OF.get(type(check))
    if needed is not None and not node.table.keys() & set(needed):
        scope.wrong(node, f"looks at nothing: it needs one of {', '.join(needed)}")


HEALTH_CHECKS: Final = ListOf(_Check())
