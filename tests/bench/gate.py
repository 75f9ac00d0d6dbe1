"""The gate: a FIFO before each producer, so that the clock starts when the tool under test has long been ready.

A producer that waits has the FIFO open for reading; a non-blocking open for writing succeeds from then on. Closing
all write ends lets all producers go within microseconds of each other."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOOK_EVERY_S = 0.005


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a producer left behind: when it passed the gate, when it had written all, its CPU between."""

    start_s: float
    end_s: float
    cpu_s: float


class GateTimeoutError(Exception):
    """The tool under test did not start its programs in time."""


@dataclass(slots=True)
class Gate:
    path: Path
    stamp_path: Path
    _held: int = -1

    @classmethod
    def made(cls, directory: Path, name: str) -> "Gate":
        path = directory / f"{name}.gate"
        os.mkfifo(path, 0o600)
        return cls(path, directory / f"{name}.stamp")

    def _holds(self) -> bool:
        if self._held < 0:
            try:
                self._held = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return False
        return True

    def open(self) -> None:
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def stamp(self) -> Stamp | None:
        try:
            text = self.stamp_path.read_text()
        except FileNotFoundError:
            return None
        if not text.endswith("\n"):
            return None
        start_ns, end_ns, cpu_us = map(int, text.split())
        return Stamp(start_ns / 1e9, end_ns / 1e9, cpu_us / 1e6)


def wait_for_producers(gates: Sequence[Gate], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while missing := sum(not gate._holds() for gate in gates):
        if time.monotonic() > deadline_s:
            raise GateTimeoutError(f"{missing} of {len(gates)} producers were not started within {timeout_s:.0f} s")
        time.sleep(LOOK_EVERY_S)


def open_all(gates: Sequence[Gate]) -> None:
    for gate in gates:
        gate.open()
