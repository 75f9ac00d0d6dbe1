"""How ringctl ends: one table for all commands, and the exceptions that say so with one line for stderr."""

from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_UP = 3  # `status`: one of those asked for is STOPPED, EXITED, FATAL or UNKNOWN
    NO_SUCH = 4  # no such session, or not permitted
    NO_ANSWER = 7


class Refusal(Exception):  # noqa: N818 - says what happened: the command is not carried out
    """The message is one line, and says what to do."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code
