"""How a session is ended, and what follows when it ended by itself."""

import enum
from typing import Annotated, Final

from msgspec import Struct

from config.kinds import Choice, ListOf
from config.tables import Applied, Key
from config.values import SIGNAL, count, duration, number

LIVE: Final = Applied.LIVE


class Orphans(enum.StrEnum):
    KILL = "kill"
    KEEP = "keep"


class RestartWhen(enum.StrEnum):
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    ON_ABNORMAL = "on-abnormal"
    UNLESS_STOPPED = "unless-stopped"
    NEVER = "never"


class RestartVerdict(enum.StrEnum):
    ALWAYS = "always"
    NEVER = "never"


class StopSpec(Struct, frozen=True, kw_only=True):
    signal: Annotated[int, Key(SIGNAL, LIVE, "asks the program to end")] = 15
    timeout_s: Annotated[float, Key(duration(), LIVE, "then the whole tree is killed")] = 10.0


class RestartPolicy(Struct, frozen=True, kw_only=True):
    policy: Annotated[RestartWhen, Key(Choice(RestartWhen), LIVE, "when an ended program is started again")] = (
        RestartWhen.ON_FAILURE
    )
    expected: Annotated[tuple[int, ...], Key(ListOf(count(0, 255)), LIVE, "exit codes that are no failure")] = (0,)
    delay_s: Annotated[float, Key(duration(), LIVE, "wait before the first restart")] = 1.0
    factor: Annotated[float, Key(number(1.0, 1000.0), LIVE, "each wait is this many times the last")] = 2.0
    max_delay_s: Annotated[float, Key(duration(), LIVE, "longest wait")] = 60.0
    jitter: Annotated[float, Key(number(0.0, 1.0), LIVE, "share of the wait that chance adds or takes")] = 0.2
    reset_after_s: Annotated[float, Key(duration(), LIVE, "up this long, the waits begin anew")] = 60.0
    max: Annotated[int, Key(count(), LIVE, "more restarts than this within the window: FATAL")] = 10
    within_s: Annotated[float, Key(duration(0.001), LIVE, "the window")] = 300.0


_VERDICT: Final = Choice(RestartVerdict)


class RestartOn(Struct, frozen=True, kw_only=True):
    """What the reason of an end decides whatever the policy says; None leaves it to the policy."""

    exited: Annotated[RestartVerdict | None, Key(_VERDICT, LIVE, "it exited with a code")] = None
    signalled: Annotated[RestartVerdict | None, Key(_VERDICT, LIVE, "a signal ended it")] = None
    oom: Annotated[RestartVerdict | None, Key(_VERDICT, LIVE, "it ran out of memory")] = None
    spawn_failed: Annotated[RestartVerdict | None, Key(_VERDICT, LIVE, "it could not be started")] = None
    hung: Annotated[RestartVerdict | None, Key(_VERDICT, LIVE, "a health check ended it")] = None
    limit: Annotated[RestartVerdict | None, Key(_VERDICT, LIVE, "one of its limits ended it")] = None
    lost: Annotated[RestartVerdict | None, Key(_VERDICT, LIVE, "its connection is gone for good")] = None
    unknown: Annotated[RestartVerdict | None, Key(_VERDICT, LIVE, "nobody saw how it ended")] = None
