"""The keeper's own words, and those of what it forks: line by line, to ringvisord's log and stderr.

Whoever is forked from the keeper speaks where it spoke, and says by what name.
"""

import traceback

from supervisor.main_log import MainLog


class Voice:
    def __init__(self) -> None:
        self.log = MainLog()
        self.service = "keeper"


VOICE = Voice()


def speak_as(service: str) -> None:
    """In a process that was forked from the keeper."""
    VOICE.service = service


def log(line: str, *, level: str = "warning", **fields: object) -> None:
    VOICE.log.say(level, VOICE.service, line, fields)


def log_fault(error: BaseException) -> None:
    log("".join(traceback.format_exception(error)).rstrip(), level="error")
