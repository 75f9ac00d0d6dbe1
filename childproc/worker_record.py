"""What a worker leaves on disk for a keeper that did not fork it.

<runtime_dir>/w/<session>.worker   who it is, and under which numbers it holds the fds of which epoch
<runtime_dir>/w/<session>.left     how its program ended, if no keeper was there to see it

A worker writes the first before it does anything else, and only then looks who is keeper. A keeper says who it is
before it looks for workers. So one of them sees the other: a worker that was not found does nothing. The marks of its
fds tell, later, whether a number still stands for the same thing.
"""

import contextlib
import errno
import fcntl
import os
import struct
import sys

import msgspec

from childproc.identity import Identity, identify
from childproc.job import LastWord, PipeFds, PtyFds, WorkerJob
from ipc.errors import UNREADABLE

_TIOCGPTN = 0x80045430

Mark = tuple[int, int, int]  # device, inode, number of the terminal


class WorkerRecord(msgspec.Struct, frozen=True):
    process: Identity
    job: WorkerJob
    marks: dict[str, Mark]


def announce(job: WorkerJob) -> bool:
    """False: another keeper is there already, and may have looked before we could be found."""
    marks = {name: mark(fd) for name, fd in named(job.fds).items()}
    record = WorkerRecord(identify(os.getpid()), job, marks)
    try:
        write_whole(path_of(job.runtime_dir, job.session, "worker"), msgspec.msgpack.encode(record))
    except OSError as error:
        sys.stderr.write(f"ringvisor: worker of {job.session}: another keeper will not find it: {error}\n")
    return not job.keeper_pid or job.keeper_pid == _keeper_in_charge(job.runtime_dir)


def _keeper_in_charge(runtime_dir: str) -> int:
    keeper = _keeper(runtime_dir)
    return keeper.pid if keeper else os.getppid()


def living_keeper(runtime_dir: str) -> int:
    """Its pid, 0 if there is none."""
    keeper = _keeper(runtime_dir)
    return keeper.pid if keeper and _is_there(keeper) else 0


def _keeper(runtime_dir: str) -> Identity | None:
    try:
        with open(keeper_path(runtime_dir), "rb") as file:
            return msgspec.json.decode(file.read(), type=Identity)
    except (OSError, *UNREADABLE):
        return None


def keeper_path(runtime_dir: str) -> str:
    return f"{runtime_dir}/keeper.json"


def leave_word(job: WorkerJob, word: LastWord) -> None:
    write_whole(path_of(job.runtime_dir, job.session, "left"), msgspec.msgpack.encode(word))


def read_record(runtime_dir: str, session: str) -> WorkerRecord | None:
    with (
        contextlib.suppress(OSError, *UNREADABLE),
        open(path_of(runtime_dir, session, "worker"), "rb") as file,
    ):
        return msgspec.msgpack.decode(file.read(), type=WorkerRecord)
    return None


def living(runtime_dir: str) -> list[str]:
    """Sessions whose workers are there, whether or not a keeper is."""
    try:
        names = sorted(os.listdir(f"{runtime_dir}/w"))
    except OSError:
        return []
    records = [read_record(runtime_dir, name.removesuffix(".worker")) for name in names if name.endswith(".worker")]
    return [record.job.session for record in records if record and _is_there(record.process)]


def _is_there(process: Identity) -> bool:
    try:
        return identify(process.pid) == process
    except ProcessLookupError:
        return False


def read_word(runtime_dir: str, session: str) -> LastWord | None:
    with contextlib.suppress(OSError, *UNREADABLE), open(path_of(runtime_dir, session, "left"), "rb") as file:
        return msgspec.msgpack.decode(file.read(), type=LastWord)
    return None


def forget(runtime_dir: str, session: str) -> None:
    for kind in ("worker", "left", "sock", "input"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path_of(runtime_dir, session, kind))


def named(fds: PtyFds | PipeFds | None) -> dict[str, int]:
    """Those that are open."""
    return {name: fd for name, fd in msgspec.structs.asdict(fds).items() if fd >= 0} if fds else {}


def mark(fd: int) -> Mark:
    status = os.fstat(fd)
    try:
        number = struct.unpack("I", fcntl.ioctl(fd, _TIOCGPTN, b"\0\0\0\0"))[0]
    except OSError as error:
        if error.errno not in {errno.ENOTTY, errno.EINVAL, errno.EBADF}:
            raise
        number = -1
    return status.st_dev, status.st_ino, number


def path_of(runtime_dir: str, session: str, kind: str) -> str:
    return f"{runtime_dir}/w/{session}.{kind}"


def write_whole(path: str, content: bytes) -> None:
    unnamed = path + ".new"
    fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
    os.rename(unnamed, path)
