"""Colours, where they are wanted: on a terminal that can, unless NO_COLOR is set (to anything but nothing)."""

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

_CODES = {
    "bold": 1, "dim": 2, "reverse": 7,
    "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36,
    "bright_green": 92, "bright_yellow": 93, "bright_blue": 94, "bright_magenta": 95, "bright_cyan": 96,
}  # fmt: skip
OF_SESSIONS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")
_OF_STATES = {
    "RUNNING": "green", "STARTING": "cyan", "STOPPING": "cyan", "BACKOFF": "yellow",
    "EXITED": "yellow", "FATAL": "red", "UNKNOWN": "red", "STOPPED": "dim",
}  # fmt: skip


class Ink(NamedTuple):
    on: bool

    def __call__(self, text: str, colour: str) -> str:
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.on and colour else text

    def state(self, padded: str) -> str:
        return self(padded, _OF_STATES.get(padded.strip(), ""))


PLAIN = Ink(on=False)


def ink_for(env: Mapping[str, str], *, is_terminal: bool) -> Ink:
    return Ink(is_terminal and not env.get("NO_COLOR") and env.get("TERM") != "dumb")


def stdout_ink() -> Ink:
    return ink_for(os.environ, is_terminal=sys.stdout.isatty())
