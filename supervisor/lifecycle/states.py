"""Where a session stands, in supervisord's words, and where its operator wants it.

    STOPPED   nobody wants it to run           BACKOFF   waits before it is started again
    STARTING  a start is under way             STOPPING  its program was told to end
    RUNNING   up for start_seconds             EXITED    its program ended, and is left at that
    UNKNOWN   it cannot be seen whether        FATAL     given up: only a command starts it again
              its program runs

The state is about the program: what is left of an epoch besides (output that still flows) is in `Session.run`.
Desired is what a command or the fleet file asked for last; an end, a crash or a give-up never changes it.
"""

from enum import StrEnum


class SessionState(StrEnum):
    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"


class Desired(StrEnum):
    UP = "up"
    DOWN = "down"


class Program(StrEnum):
    """Of an epoch under way, as far as the keeper has told."""

    ASKED = "asked"  # the keeper is to start it
    ALIVE = "alive"
    GONE = "gone"


class Output(StrEnum):
    NONE = "none"
    FLOWING = "flowing"  # a worker reads it
    ENDED = "ended"
    REFUSED = "refused"  # the worker could not use the ring: nobody reads it
