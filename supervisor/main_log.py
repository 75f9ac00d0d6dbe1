"""ringvisord's own log: what keeper, supervisor and router have to say, in one file and on stderr.

Facts. A write to a file opened with O_APPEND is one piece at its end, whoever else writes there. A pipe or terminal
that poll calls writable takes PIPE_BUF bytes without making anybody wait.

Design. Each line opens the file by its name and closes it again. So it may be moved, removed or truncated at any time,
by logrotate, by hand or by us, and the next line of any process stands in the new one: there is nothing to reopen, and
no fd to look after in a process that forks all day. Whoever finds the file full moves it aside; a lock on it says who.
A full disk, or a stderr that nobody reads, costs lines, and never a turn of a loop.
"""

import contextlib
import fcntl
import os
import select
import time
from collections.abc import Mapping

import msgspec

NAME = "ringvisord.log"
MAX_BYTES = 10 << 20
KEPT = 3
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MODE = 0o640
_STDERR = 2


class MainLog(msgspec.Struct, frozen=True):
    path: str = ""  # absolute; none: stderr alone
    as_json: bool = False
    max_bytes: int = MAX_BYTES

    def say(self, level: str, service: str, event: str, fields: Mapping[str, object]) -> None:
        line = self.note(level, service, event, fields)
        with contextlib.suppress(OSError):
            _write_without_waiting(_STDERR, line)

    def note(self, level: str, service: str, event: str, fields: Mapping[str, object]) -> bytes:
        """In the file alone."""
        line = rendered(time.time_ns(), level, service, event, fields, as_json=self.as_json)
        if self.path:
            with contextlib.suppress(OSError):
                self._append(line)
        return line

    def _append(self, line: bytes) -> None:
        fd = os.open(self.path, _FLAGS, _MODE)
        try:
            os.write(fd, line)
            if os.fstat(fd).st_size >= self.max_bytes:
                self._move_aside(fd)
        finally:
            os.close(fd)

    def _move_aside(self, fd: int) -> None:
        """Only who has the lock, and only what still has the name."""
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(fd), os.stat(self.path)):
            return
        aside = _parts(self.path)
        last = aside[-1] if aside else 0
        os.rename(self.path, _part(self.path, last + 1))
        for number in aside[: len(aside) + 1 - KEPT]:
            os.unlink(_part(self.path, number))


def _part(path: str, number: int) -> str:
    """Named like the parts of a session's log, so that `ringctl` reads on from one to the next."""
    return f"{path}.{number:06d}"


def _parts(path: str) -> list[int]:
    prefix = os.path.basename(path) + "."
    names = os.listdir(os.path.dirname(path))
    return sorted(
        int(name[len(prefix) :]) for name in names if name.startswith(prefix) and name[len(prefix) :].isdigit()
    )


def rendered(
    time_ns: int, level: str, service: str, event: str, fields: Mapping[str, object], *, as_json: bool
) -> bytes:
    if as_json:
        said = {"time": iso(time_ns), "level": level, "service": service, "pid": os.getpid(), "event": event, **fields}
        return msgspec.json.encode(said, enc_hook=str) + b"\n"
    more = "".join(f" {name}={_plain(value)}" for name, value in fields.items())
    words = f"{iso(time_ns)} {level:<7} {service}[{os.getpid()}]: {event}{more}".replace("\n", "\n    ")
    return words.encode(errors="backslashreplace") + b"\n"


def iso(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest_ns // 1_000_000:03d}Z"


def _plain(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and text and not {" ", "=", '"'}.intersection(text) else repr(text)


def _write_without_waiting(fd: int, data: bytes) -> None:
    room = select.poll()
    room.register(fd, select.POLLOUT)
    for start in range(0, len(data), select.PIPE_BUF):
        if not room.poll(0):
            return
        os.write(fd, data[start : start + select.PIPE_BUF])
