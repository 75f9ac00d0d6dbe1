"""A fleet's directory of shared memory: the board, the bells and the rings, each under a name of its own.

board            see ipc/board.py
bell.0 … bell.7  wake the readers; bell.0 is the router's live half, 7 the dispatcher's, the others are log threads'
rings.cap        how much memory all rings may take together, and
logs.cap         how much disk all logs may (caps.py)
NAME.ring        a session's ring
NAME.bell        wakes the session's writer when there is room again
NAME.sink        what the router does with the session
"""

import contextlib
import mmap
import os
import stat

from ipc.bell import Bell, make_bell
from ipc.board import BELLS, BOARD_BYTES, check_board, initial_board
from ipc.caps import forget_caps
from ipc.ring_file import has_writer, remove_ring, ring_paths, session_of


def board_path(ring_dir: str) -> str:
    return f"{ring_dir}/board"


def reader_bell_path(ring_dir: str, bell: int) -> str:
    return f"{ring_dir}/bell.{bell}"


def writer_bell_path(ring_dir: str, session: str) -> str:
    return f"{ring_dir}/{session}.bell"


def sink_path(ring_dir: str, session: str) -> str:
    return f"{ring_dir}/{session}.sink"


def create_ring_dir(ring_dir: str) -> None:
    """Make what a fleet needs, or take over what is there. Ours alone: mode 0700."""
    os.makedirs(ring_dir, mode=0o700, exist_ok=True)
    status = os.lstat(ring_dir)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PermissionError(f"{ring_dir} must be a directory of our own with mode 0700: remove it or fix its mode")
    if not os.path.exists(board_path(ring_dir)):
        _create_board(ring_dir)
    for bell in range(BELLS):
        make_bell(reader_bell_path(ring_dir, bell))


def _create_board(ring_dir: str) -> None:
    temporary = board_path(ring_dir) + ".new"
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(fd, 0, BOARD_BYTES)
        os.pwrite(fd, initial_board(), 0)
    finally:
        os.close(fd)
    os.rename(temporary, board_path(ring_dir))


def open_board(ring_dir: str) -> memoryview:
    """The board as words."""
    fd = os.open(board_path(ring_dir), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        words = memoryview(mmap.mmap(fd, BOARD_BYTES)).cast("Q")
    finally:
        os.close(fd)
    check_board(words)
    return words


def open_reader_bell(ring_dir: str, bell: int) -> Bell:
    return Bell(reader_bell_path(ring_dir, bell))


def open_writer_bell(ring_dir: str, session: str) -> Bell:
    path = writer_bell_path(ring_dir, session)
    make_bell(path)
    return Bell(path)


def forget_session(ring_dir: str, session: str) -> None:
    remove_ring(ring_dir, session)
    for path in (writer_bell_path(ring_dir, session), sink_path(ring_dir, session)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def remove_ring_dir(ring_dir: str) -> None:
    """After an orderly end. What still has rings in it stays."""
    if next(ring_paths(ring_dir), None) is not None:
        return
    forget_caps(ring_dir)
    last_words = f"{ring_dir}/router.died"
    for path in (board_path(ring_dir), last_words, *(reader_bell_path(ring_dir, bell) for bell in range(BELLS))):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    with contextlib.suppress(OSError):  # somebody else's file is none of ours to remove
        os.rmdir(ring_dir)


def sweep_ring_dir(ring_dir: str) -> list[str]:
    """Remove what a fleet left behind that did not end in order. Returns the sessions whose workers still live."""
    if not os.path.isdir(ring_dir):
        return []
    paths = list(ring_paths(ring_dir))
    living = [path for path in paths if has_writer(path)]
    if living:
        return sorted(session_of(path) for path in living)
    for path in paths:
        forget_session(ring_dir, session_of(path))
    return []
