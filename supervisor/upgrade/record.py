"""`<runtime_dir>/upgrade.json`: written before each phase begins, and read by a supervisor that comes in the middle."""

import os

import msgspec

from ipc.errors import UNREADABLE
from supervisor.upgrade.progress import Progress

_NAME = "upgrade.json"


def write_progress(runtime_dir: str, progress: Progress) -> None:
    path = f"{runtime_dir}/{_NAME}"
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, msgspec.json.encode(progress))
    finally:
        os.close(fd)
    os.rename(f"{path}.new", path)


def read_progress(runtime_dir: str) -> Progress | None:
    try:
        with open(f"{runtime_dir}/{_NAME}", "rb") as file:
            return msgspec.json.decode(file.read(), type=Progress)
    except (OSError, *UNREADABLE):
        return None
