"""What `control` and `crash` measure: a daemon as its operator has it, with a file that names programs and a command.

`Installation` is the one interface for ours and for every peer: a name, how to install it, and one function that
launches the daemon, which runs what asks for that at once, and says how to talk to it."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench.installed import environment

COMMAND_MAX_S = 300.0
LOOK_EVERY_S = 0.002


@dataclass(frozen=True, slots=True)
class Program:
    """`always`: started with the daemon, and again at once whenever it ends."""

    name: str
    argv: tuple[str, ...]
    always: bool = False


class Notice(Protocol):
    """Who is told of ends by the daemon."""

    def await_end(self) -> float:
        """Blocks until the next end of a program was told; when, on the monotonic clock in seconds."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Operator:
    """The way to a running daemon. `decider` is the process that answers, now."""

    command: Sequence[str]
    decider: Callable[[], int]
    stop: Callable[[], None]
    env: Mapping[str, str]
    follow: Callable[[], Notice] | None = None
    survives: bool = False  # a decider that is killed is replaced, and its programs run on

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.command, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_MAX_S,
            env=environment(**self.env),
            stdin=subprocess.DEVNULL,
        )


@dataclass(frozen=True, slots=True)
class Installation:
    name: str
    missing: Callable[[], str | None]
    version: Callable[[], str]
    launch: Callable[[Sequence[Program], Path], Operator]


def wait_until(what: str, is_so: Callable[[], bool], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what}: not so after {timeout_s:.0f} s")
        time.sleep(LOOK_EVERY_S)
