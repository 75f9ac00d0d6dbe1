"""How many epochs the log of a session has seen, for one that is new to the fleet and finds a log of its name.

A log knows its bytes by epoch and offset. A session that counted from 1 again would write what looks as if it had been
written already, and it would be left out.
"""

import os

from config.model import SessionSpec
from ipc.log_directory import index_name
from ipc.log_index import RECORD_BYTES, slots

_TAIL_RECORDS = 64


def past_epoch(spec: SessionSpec) -> int:
    """0: none."""
    return max(map(_last_epoch, (spec.log.path, spec.log.error_path))) if spec.log else 0


def _last_epoch(log: str) -> int:
    try:
        fd = os.open(index_name(log), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        whole = os.fstat(fd).st_size // RECORD_BYTES
        first = max(1, whole - _TAIL_RECORDS)
        raw = os.pread(fd, (whole - first) * RECORD_BYTES, first * RECORD_BYTES)
    except (OSError, ValueError):
        return 0
    finally:
        os.close(fd)
    return max((record.position.epoch for record in slots(raw, first) if record is not None), default=0)
