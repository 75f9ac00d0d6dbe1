"""Rings as files on tmpfs: made, mapped, resized, removed.

Facts. A sparse file on a full tmpfs kills whoever touches it with SIGBUS, in the middle of a session; a file whose
pages were all allocated when it was made turns the same shortage into an error message. A mapping outlives the
name, and the name outlives every process. (`multiprocessing.shared_memory` unlinks behind the back of the others
and is not used.)

Design. `<ring_dir>/<session>.ring` is the ring. Its next generation is prepared as `<session>.ring.next` and renamed
over it. The cap on all rings together (caps.py) is checked after the new file is allocated: two that grow at once
may both be refused, but never both go beyond, and nothing has to be locked. A writer holds an flock on its own open
file, so that a second one is refused as long as the first one lives; the kernel lets go of it when the process is
gone.
"""

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from ipc import ring_layout as at
from ipc.caps import Cap, read_cap
from ipc.errors import RingBusy, RingCorrupt, RingMemory
from ipc.ring_memory import RingMemory as Memory
from ipc.ring_memory import initial_header
from ipc.ring_resize import carry_readers, following_header, transplant
from ipc.ring_spec import RingSpec

_SUFFIX = ".ring"
_NEXT = ".next"
_MODE = 0o600


def ring_path(ring_dir: str, session: str) -> str:
    return f"{ring_dir}/{session}{_SUFFIX}"


def create_ring(ring_dir: str, session: str, spec: RingSpec) -> None:
    """Make an empty ring, with the log's slot taken so that nothing is lost before the router comes."""
    least, most = spec.rounded()
    header = initial_header(least, least_bytes=least, most_bytes=most, policy=spec.policy)
    words = memoryview(header).cast("Q")
    if spec.has_log:
        state = at.ReaderState.GATING if spec.gating_log else at.ReaderState.LOSSY
        words[at.reader_word(at.ReaderSlot.LOG, at.R_STATE)] = int(state)
        words[at.reader_word(at.ReaderSlot.LOG, at.R_BELL)] = spec.log_bell
    words[at.W_MAGIC] = at.MAGIC
    words.release()
    path = ring_path(ring_dir, session)
    temporary = path + ".new"
    fd = _allocate(temporary, at.segment_bytes(least))
    try:
        _refuse_beyond_cap(ring_dir, temporary)
        os.pwrite(fd, header, 0)
        os.rename(temporary, path)
    finally:
        os.close(fd)


def _refuse_beyond_cap(ring_dir: str, temporary: str) -> None:
    if exceeded := exceeded_cap(ring_dir):
        size_bytes = os.stat(temporary).st_size
        os.unlink(temporary)
        raise RingMemory(
            f"a ring of {size_bytes} bytes would take all rings of the fleet beyond {exceeded} bytes: "
            "raise fleet.ring_memory or lower ring sizes"
        )


def _allocate(path: str, size_bytes: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
    try:
        os.posix_fallocate(fd, 0, size_bytes)
    except OSError as error:
        os.close(fd)
        os.unlink(path)
        if error.errno == errno.ENOSPC:
            raise RingMemory(
                f"no room for a ring of {size_bytes} bytes in {os.path.dirname(path)}: "
                "enlarge that tmpfs or lower ring sizes"
            ) from error
        raise
    return fd


def _map(fd: int, *, writable: bool = True) -> Memory:
    size = os.fstat(fd).st_size
    if size < at.HEADER_BYTES:
        raise RingCorrupt(f"the file has only {size} bytes")
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    return Memory(memoryview(mmap.mmap(fd, size, mmap.MAP_SHARED, protection)))


def open_ring(ring_dir: str, session: str, *, writable: bool = True) -> Memory:
    return _open(ring_path(ring_dir, session), writable=writable)


def _open(path: str, *, writable: bool = True) -> Memory:
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags)
    try:
        return _map(fd, writable=writable)
    finally:
        os.close(fd)


def open_following(ring_dir: str, session: str, generation: int) -> Memory:
    """What the writer of this generation has announced: complete, but perhaps not under the ring's name yet. It may get
    it between two looks; what stands beside it then is another one, which nobody has announced."""
    path = ring_path(ring_dir, session)
    with contextlib.suppress(FileNotFoundError, RingCorrupt):
        if (named := _open(path)).generation > generation:
            return named
        if (beside := _open(path + _NEXT)).generation == generation + 1:
            return beside
    with contextlib.suppress(FileNotFoundError):
        if (named := _open(path)).generation > generation:
            return named
    raise RingCorrupt(f"{path} is gone, or its generation {generation + 1}, which was announced")


class WriterFile:
    """A ring's file as its writer holds it: locked, and able to take the next generation's place."""

    def __init__(self, ring_dir: str, session: str) -> None:
        self._dir = ring_dir
        self._fd = -1
        self._path = ring_path(ring_dir, session)

    def open(self) -> Memory:
        """Finishes a move that a killed writer had announced and not completed."""
        memory = self._open_locked()
        if memory.q[at.W_NEXT_GENERATION]:
            carry_readers(memory, _open(self._path + _NEXT))
            os.rename(self._path + _NEXT, self._path)
            memory = self._open_locked()
        return memory

    def _open_locked(self) -> Memory:
        fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self._lock(fd)
            memory = _map(fd)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd = fd
        return memory

    def _lock(self, fd: int) -> None:
        """The file that has the ring's name: a living writer may just have moved on to another one."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RingBusy(f"{self._path} has a living writer") from error
        if not os.path.samestat(os.fstat(fd), os.stat(self._path)):
            raise RingBusy(f"{self._path} has a living writer, which has just moved it")

    def resize(self, old: Memory, data_bytes: int) -> Memory | None:
        """The next generation, in place and mapped; None if memory or the cap refuses it."""
        following = self._path + _NEXT
        try:
            fd = _allocate(following, at.segment_bytes(data_bytes))
        except (RingMemory, OSError):
            return None
        if data_bytes > old.data_bytes and exceeded_cap(self._dir):
            os.close(fd)
            os.unlink(following)
            return None
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with mmap.mmap(fd, at.segment_bytes(data_bytes)) as mapping:
            self._fill(old, mapping, data_bytes)
        memory = _map(fd)
        old.q[at.W_NEXT_GENERATION] = memory.generation
        carry_readers(old, memory)
        os.rename(following, self._path)
        self.close()
        self._fd = fd
        return memory

    @staticmethod
    def _fill(old: Memory, mapping: mmap.mmap, data_bytes: int) -> None:
        with memoryview(mapping) as buffer:
            buffer[: at.HEADER_BYTES] = following_header(old, data_bytes)
            transplant(old, buffer, data_bytes)
            with buffer.cast("Q") as words:
                words[at.W_MAGIC] = at.MAGIC

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    __del__ = close  # the lock goes with its writer


def exceeded_cap(ring_dir: str) -> int:
    """The cap, if all rings together are beyond it; else 0. Their pages are all allocated: where the whole tmpfs holds
    less than that, none of a thousand files has to be looked at."""
    cap_bytes = read_cap(ring_dir, Cap.RINGS)
    tmpfs = os.statvfs(ring_dir)
    if not cap_bytes or (tmpfs.f_blocks - tmpfs.f_bfree) * tmpfs.f_frsize <= cap_bytes:
        return 0
    return cap_bytes if rings_bytes(ring_dir) > cap_bytes else 0


def rings_bytes(ring_dir: str) -> int:
    """All of them, and what is being prepared. Other writers rename and remove while we look."""
    found = 0
    for path in ring_paths(ring_dir):
        with contextlib.suppress(FileNotFoundError):
            found += os.stat(path).st_size
    return found


def ring_paths(ring_dir: str) -> Iterator[str]:
    with os.scandir(ring_dir) as entries:
        for entry in entries:
            if _SUFFIX in entry.name[-len(_SUFFIX + _NEXT) :]:
                yield entry.path


def session_of(path: str) -> str:
    return os.path.basename(path).removesuffix(_NEXT).removesuffix(_SUFFIX)


def has_writer(path: str) -> bool:
    """Somebody holds the lock that only a writer takes."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def remove_ring(ring_dir: str, session: str) -> None:
    path = Path(ring_path(ring_dir, session))
    for candidate in (path, Path(f"{path}{_NEXT}"), Path(f"{path}.new")):
        candidate.unlink(missing_ok=True)
