"""How much shared memory all rings of a fleet may take together.

One number, under a name of its own in the ring directory. Whoever makes a ring or lets one grow reads it then, which
happens seldom: so a new cap is in force for all workers at once, and nobody has to be told. No file: no cap.
"""

import contextlib
import os

_NAME = "cap"


def write_cap(ring_dir: str, cap_bytes: int) -> None:
    temporary = f"{ring_dir}/{_NAME}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, b"%d" % cap_bytes)
    finally:
        os.close(fd)
    os.rename(temporary, f"{ring_dir}/{_NAME}")


def read_cap(ring_dir: str) -> int:
    """0: there is none."""
    try:
        fd = os.open(f"{ring_dir}/{_NAME}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return 0
    try:
        return int(os.read(fd, 32) or b"0")
    finally:
        os.close(fd)


def forget_cap(ring_dir: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{ring_dir}/{_NAME}")
