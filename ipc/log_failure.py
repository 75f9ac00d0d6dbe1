"""A log that cannot be written is in a state, with a reason, and is tried again after a while. Pure."""

import errno
from dataclasses import dataclass, replace

_FIRST_DELAY_NS = 100_000_000
_LAST_DELAY_NS = 5_000_000_000  # a disk that has room again is noticed within this time

_SAID = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file may not grow further (RLIMIT_FSIZE or the file system's limit)",
    errno.EIO: "the disk reports an I/O error",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "the log directory is gone",
    errno.ELOOP: "a symbolic link stands in its place, which is not followed",
    errno.EAGAIN: "another process writes this log",
    errno.EMFILE: "this process has no file descriptors left",
}


@dataclass(frozen=True, slots=True)
class Failure:
    since_ns: int  # wall clock
    reason: str
    errno: int
    attempts: int
    retry_ns: int  # monotonic clock
    healed_by_write: bool  # the failure was in writing: that the file opens proves nothing


def first_or_next(before: Failure | None, error: OSError, *, wall_ns: int, mono_ns: int, writing: bool) -> Failure:
    attempts = before.attempts + 1 if before else 1
    failure = Failure(
        since_ns=wall_ns,
        reason=reason_of(error),
        errno=error.errno or 0,
        attempts=attempts,
        retry_ns=mono_ns + retry_delay_ns(attempts),
        healed_by_write=writing,
    )
    return replace(failure, since_ns=before.since_ns) if before else failure


def postponed(failure: Failure, mono_ns: int) -> Failure:
    """Tried, and nothing was there to be written: no better, no worse."""
    attempts = failure.attempts + 1
    return replace(failure, attempts=attempts, retry_ns=mono_ns + retry_delay_ns(attempts))


def retry_delay_ns(attempts: int) -> int:
    return min(_FIRST_DELAY_NS << min(attempts - 1, 16), _LAST_DELAY_NS)


def reason_of(error: OSError) -> str:
    said = _SAID.get(error.errno or 0)
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{said} ({error.strerror})" if said else f"{where}{error.strerror or error}"
