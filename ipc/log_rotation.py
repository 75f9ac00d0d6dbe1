"""Rotation: Close, rename the log, rename its index, begin the next part. It may be interrupted anywhere.

The log is renamed first, then its index: while the index has its first name and ends in Close, the rotation is known
to be unfinished, and whoever opens the part next completes it. So rotating means to write Close and to open again;
there is no other path to get wrong.
"""

import errno
import os
from collections.abc import Sequence

from ipc.log_directory import PartFiles, exists, index_name, open_regular, packed_name, part_name
from ipc.log_index import NOWHERE, Close, Position
from ipc.log_index_file import IndexFile
from ipc.log_kernel import Kernel


def open_index(kernel: Kernel, directory_fd: int, log: str, mode: int) -> IndexFile:
    """Of the current part, which is a new one if the last was closed."""
    index = IndexFile.open(kernel, directory_fd, index_name(log), mode)
    if index.header is None or not isinstance(index.last, Close):
        return index
    try:
        _finish_rotation(kernel, directory_fd, log, index.header.part, index.last.file_offset)
    finally:
        index.shut()
    return IndexFile.open(kernel, directory_fd, index_name(log), mode)


def _finish_rotation(kernel: Kernel, directory_fd: int, log: str, number: int, size: int) -> None:
    part = part_name(log, number)
    if not _rotated_already(kernel, directory_fd, log, part, size):
        kernel.rename(log, part, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    if exists(kernel, directory_fd, index_name(part)):
        raise FileExistsError(errno.EEXIST, "stands where a rotated part is to be: move it away", index_name(part))
    kernel.rename(index_name(log), index_name(part), src_dir_fd=directory_fd, dst_dir_fd=directory_fd)


def _rotated_already(kernel: Kernel, directory_fd: int, log: str, part: str, size: int) -> bool:
    if not exists(kernel, directory_fd, log) or exists(kernel, directory_fd, packed_name(part)):
        return True
    if not exists(kernel, directory_fd, part):
        return False
    if kernel.stat(part, dir_fd=directory_fd, follow_symlinks=False).st_size == size:
        return True  # what has the log's name now came later, from somebody else
    raise FileExistsError(errno.EEXIST, "stands where a rotated part is to be: move it away", part)


def last_position(kernel: Kernel, directory_fd: int, parts: Sequence[PartFiles]) -> Position:
    """Where the stream stood at the end of the rotated parts."""
    names = [part.index for part in parts if part.index is not None]
    if not names:
        return NOWHERE
    fd = open_regular(kernel, directory_fd, names[-1], os.O_RDONLY, 0)
    try:
        index = IndexFile(kernel, fd)
        index.load()
        return index.last.position if index.last else NOWHERE
    finally:
        kernel.close(fd)
