"""Tells whoever started ringvisord how far it is, in sd_notify's words. Without NOTIFY_SOCKET it says nothing.

The words go through the keeper: it is the main process, and systemd hears no other. That makes the watchdog honest,
too. WATCHDOG=1 begins with a timer in the supervisor's loop and is sent on by the keeper's: it arrives only while the
one that decides and the one that reaps both turn. One that hangs, or a supervisor that dies as often as it starts, is
not covered up by the other, and systemd starts ringvisord again.
"""

import os
import time
from collections.abc import Callable, Mapping

from supervisor.keeper.loop import Loop

_STATUS_EVERY_S = 1.0
_SPARE_S = 10.0  # for output that is still to be written down


class Notify:
    def __init__(
        self, own_env: Mapping[str, str], loop: Loop, send: Callable[[str], None], status: Callable[[], str]
    ) -> None:
        self._is_heard = bool(own_env.get("NOTIFY_SOCKET"))
        self._beat_every_s = beat_every_s(own_env, os.getppid())
        self._loop = loop
        self._send = send
        self._status = status
        self._is_beating = False
        self._is_status_due = False

    def ready(self) -> None:
        self._say(f"READY=1\nSTATUS={self._status()}")
        if self._beat_every_s and not self._is_beating:
            self._is_beating = True
            self._beat()

    def reloading(self) -> None:
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._say(f"STOPPING=1\nSTATUS={self._status()}")

    def stopping_takes(self, most_s: float) -> None:
        """From now on; more than the unit's own stop timeout, if need be. Sessions have theirs, which end."""
        self._say(f"EXTEND_TIMEOUT_USEC={int((most_s + _SPARE_S) * 1_000_000)}")

    def status_changed(self) -> None:
        """Said within a second: a thousand sessions that start are no thousand messages."""
        if self._is_heard and not self._is_status_due:
            self._is_status_due = True
            self._loop.call_in(_STATUS_EVERY_S, self._say_status)

    def _say_status(self) -> None:
        self._is_status_due = False
        self._say(f"STATUS={self._status()}")

    def _beat(self) -> None:
        self._say("WATCHDOG=1")
        self._loop.call_in(self._beat_every_s, self._beat)

    def _say(self, words: str) -> None:
        if self._is_heard:
            self._send(words)


def beat_every_s(own_env: Mapping[str, str], main_pid: int) -> float:
    """Half of what systemd grants; 0: no watchdog, or it is somebody else's who had these variables before us."""
    usec, pid = own_env.get("WATCHDOG_USEC", ""), own_env.get("WATCHDOG_PID", "")
    if not (usec.isdigit() and own_env.get("NOTIFY_SOCKET")) or pid not in ("", str(main_pid)):
        return 0.0
    return int(usec) / 2_000_000
