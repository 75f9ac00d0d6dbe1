"""Secrets from files: read at each start of a session, given to the program, kept nowhere.

Who may do what to the file, we judge in between ssh (refuses a key that anybody else can read) and systemd (warns):
  * writable by others than its owner: refused, as somebody else would choose what the program trusts;
  * readable by everybody: a warning. The harm is done and refusing does not undo it, and container engines mount their
    secrets world-readable (0444) into a namespace where that means little;
  * readable by its group: fine, that is how root hands a secret to a service's user.
One line end at the end is not part of the secret: editors and `echo` put it there.
"""

import os
import stat

MAX_SECRET_BYTES = 64 * 1024
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class SecretError(Exception):
    pass


def read_secret(path: str) -> str:
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            _check(path, os.fstat(file.fileno()))
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as failure:
        raise SecretError(f"cannot read {path}: {failure.strerror}") from failure
    if len(content) > MAX_SECRET_BYTES:
        raise SecretError(f"{path} is no secret: more than {MAX_SECRET_BYTES} bytes")
    if b"\0" in content:
        raise SecretError(f"{path} holds a NUL byte, which no environment can")
    return os.fsdecode(content.removesuffix(b"\n").removesuffix(b"\r"))


def exposure(path: str) -> str:
    """What to warn of, or ""."""
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & stat.S_IROTH:
        return f"everybody on this machine can read {path} (mode {mode:04o}): chmod o= {path}"
    return ""


def _open_without_waiting(path: str, flags: int) -> int:
    """A FIFO in the place of the file must not hang a start."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check(path: str, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise SecretError(f"{path} is no regular file")
    if mode & _OTHERS_WRITE:
        raise SecretError(f"others than its owner can write {path} (mode {mode:04o}): chmod go-w {path}")
