"""`--daemon`: for those without systemd. The caller's process stays until the fleet is ready, and says how that went.

    caller ──fork──> middle ──setsid, fork──> daemon
       │               └ exits: the daemon leads no session, so no terminal can become its own
       ├─ notify socket  <── READY=1, as a systemd would hear it
       └─ life line      <── an exit code, or its end: the daemon is gone

Until it lets go of stdio, the daemon speaks on the caller's stderr; from then on in ringvisord.log.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from typing import NoReturn

START_MAX_S = 60.0
_NOTIFY_BYTES = 4096
_FAILED = 1
_SYSTEMDS = ("WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class Caller:
    """Who waits for the daemon, as the daemon sees it."""

    def __init__(self, life_line: int) -> None:
        self._life_line = life_line

    def let_go(self) -> None:
        """No terminal, no directory that could not be unmounted."""
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        os.chdir("/")

    def end(self, code: int) -> NoReturn:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._life_line, bytes([code]))
        sys.exit(code)


def daemonize(log_path: str) -> Caller:
    """Returns in the daemon. The caller's process ends here."""
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind("")  # the kernel finds an abstract address that is free
    ours, daemons = os.pipe2(os.O_CLOEXEC)
    middle = os.fork()
    if middle:
        os.close(daemons)
        os.waitpid(middle, 0)
        _wait(notified, ours, log_path)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(ours)
    os.environ["NOTIFY_SOCKET"] = "@" + notified.getsockname()[1:].decode()
    for name in _SYSTEMDS:
        os.environ.pop(name, None)
    notified.close()
    return Caller(daemons)


def _wait(notified: socket.socket, life_line: int, log_path: str) -> NoReturn:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    deadline_s = time.monotonic() + START_MAX_S
    while (left_s := deadline_s - time.monotonic()) > 0:
        ready, _, _ = select.select([notified.fileno(), life_line], [], [], left_s)
        if notified.fileno() in ready and b"READY=1" in notified.recv(_NOTIFY_BYTES).split(b"\n"):
            sys.exit(0)
        if life_line in ready:
            code = os.read(life_line, 1)
            if not code:
                sys.stderr.write(f"ringvisord: killed before it was ready; {log_path} may say more\n")
            sys.exit(code[0] if code else _FAILED)
    sys.stderr.write(f"ringvisord: not ready after {START_MAX_S:g} s, and still at it; see {log_path}\n")
    sys.exit(_FAILED)
