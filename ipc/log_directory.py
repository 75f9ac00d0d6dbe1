"""The directory a log lives in: who may write there, and what the files are called.

    web.log            web.log.idx              the part being written
    web.log.000017     web.log.000017.idx       a rotated part
    web.log.000017.zst web.log.000017.idx       the same, compressed

Whoever may write to the directory may put a link, a FIFO or a file of his own where a part is to be, and whoever may
write to a directory above it may put another directory in its place. So neither may be the session's user, unless he
is us or root. O_NOFOLLOW and a directory fd then see to it that no link which stood there before is followed.
"""

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from ipc.log_kernel import KERNEL, Kernel

_PACKED = ".zst"
_INDEX = ".idx"
_PART = re.compile(r"(\d{6,})(\.zst|\.idx)?")  # behind the log's name
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # the last two for what is no regular file


class LogRefused(PermissionError):  # noqa: N818 - says what happened, the base class says error
    """The log may not be kept there; an OSError, since it heals like one."""


@dataclass(frozen=True, slots=True)
class SessionUser:
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class PartFiles:
    """What there is of one rotated part."""

    number: int
    plain: str | None
    packed: str | None
    index: str | None


def index_name(log: str) -> str:
    return log + _INDEX


def part_name(log: str, number: int) -> str:
    return f"{log}.{number:06d}"


def packed_name(part: str) -> str:
    return part + _PACKED


def open_directory(path: str | Path, user: SessionUser | None = None, kernel: Kernel = KERNEL) -> int:
    """A descriptor of the directory, or LogRefused if the session's user may write there."""
    fd = kernel.open(path, _OPEN_DIRECTORY)
    try:
        if user is not None and user.uid not in (0, os.geteuid()):
            _refuse_writable_by(user, fd, Path(os.path.realpath(path)))
    except BaseException:
        kernel.close(fd)
        raise
    return fd


def open_regular(kernel: Kernel, directory_fd: int, name: str, flags: int, mode: int) -> int:
    fd = kernel.open(name, flags | _OPEN_FILE, mode, dir_fd=directory_fd)
    try:
        if not stat.S_ISREG(kernel.fstat(fd).st_mode):
            raise LogRefused(errno.EACCES, "is not a regular file: remove it", name)  # noqa: TRY301 - closes the fd
    except BaseException:
        kernel.close(fd)
        raise
    return fd


def list_parts(directory_fd: int, log: str, kernel: Kernel = KERNEL) -> list[PartFiles]:
    """The rotated parts, oldest first."""
    prefix = log + "."
    found: dict[int, dict[str, str]] = {}
    for entry in kernel.names(directory_fd, prefix):
        if match := _PART.fullmatch(entry, len(prefix)):
            found.setdefault(int(match[1]), {})[match[2] or ""] = entry
    return [
        PartFiles(number, names.get(""), names.get(_PACKED), names.get(_INDEX))
        for number, names in sorted(found.items())
    ]


def exists(kernel: Kernel, directory_fd: int, name: str) -> bool:
    try:
        kernel.stat(name, dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def may_write(info: os.stat_result, user: SessionUser, *, has_acl: bool) -> bool:
    """An owner may: he can change the mode. An ACL is not read: if its mask lets anyone write, it might be him."""
    mode = info.st_mode
    if info.st_uid == user.uid:
        return True
    if has_acl and mode & stat.S_IWGRP:
        return True
    return bool(mode & (stat.S_IWGRP if info.st_gid in user.gids else stat.S_IWOTH))


def _refuse_writable_by(user: SessionUser, fd: int, path: Path) -> None:
    if may_write(os.fstat(fd), user, has_acl=_has_acl(fd)):
        raise _refused(user, path)
    for above in path.parents:
        info = above.stat()
        # In a sticky directory (/tmp) only its owner and the entry's owner may put another one in its place.
        replaceable = not info.st_mode & stat.S_ISVTX or info.st_uid == user.uid
        if replaceable and may_write(info, user, has_acl=_has_acl(above)):
            raise _refused(user, above)


def _refused(user: SessionUser, path: Path) -> LogRefused:
    return LogRefused(
        errno.EACCES,
        f"the session's user (uid {user.uid}) may write to this directory, so its log is not kept below it: "
        "take that right away, or choose another log path",
        str(path),
    )


def _has_acl(path: int | Path) -> bool:
    try:
        os.getxattr(path, "system.posix_acl_access")
    except OSError:
        return False
    return True
