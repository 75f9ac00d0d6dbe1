"""What a fleet may take together: of shared memory for all rings, of disk for all logs.

One number each, under a name of its own in the ring directory. Whoever makes a ring, lets one grow, or has rotated a
log reads it then, which happens seldom: so a new cap is in force for all processes at once, and nobody has to be told.
No file: no cap.
"""

import contextlib
import os
from enum import StrEnum


class Cap(StrEnum):
    """The names of the files."""

    RINGS = "rings.cap"
    LOGS = "logs.cap"


def write_cap(ring_dir: str, cap: Cap, cap_bytes: int) -> None:
    temporary = f"{ring_dir}/{cap}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, b"%d" % cap_bytes)
    finally:
        os.close(fd)
    os.rename(temporary, f"{ring_dir}/{cap}")


def read_cap(ring_dir: str, cap: Cap) -> int:
    """0: there is none."""
    try:
        fd = os.open(f"{ring_dir}/{cap}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return 0
    try:
        return int(os.read(fd, 32) or b"0")
    finally:
        os.close(fd)


def forget_caps(ring_dir: str) -> None:
    for cap in Cap:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{ring_dir}/{cap}")
