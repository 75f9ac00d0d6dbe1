"""What happens to rotated parts: they are compressed, and deleted when they are too many. Run off the hot path.

Compressing is crash-safe and may be repeated: the archive is written under another name, synced, read back and
compared with what went in, and gets its name only then; the plain part goes last. Whoever finds both takes the plain
one.

Deleting goes from the oldest on, log before index: an index without a log at the old end is a deletion that was
interrupted, and is completed. One that is not at the old end is a part that somebody took away, and stays as
evidence.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from zlib import crc32

import zstandard

from ipc.log_directory import PartFiles, list_parts, open_directory, open_regular, packed_name
from ipc.log_kernel import KERNEL
from ipc.log_retention import Retention, RotatedPart, doomed

_PIECE_BYTES = 1024 * 1024
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class ArchiveWrong(Exception):  # noqa: N818 - says what happened
    """What was read back is not what was compressed. The plain part is still there."""


def compress(directory: str | Path, part: str, level: int = 3) -> bool:
    """Replaces a rotated part by its archive. False: there is no such part (any more)."""
    directory_fd = open_directory(directory)
    try:
        return _compress(directory_fd, part, level)
    finally:
        os.close(directory_fd)


def tidy(directory: str | Path, log: str, retention: Retention, now_ns: int, *, pack: bool = True) -> list[str]:
    """Deletes what is too much, compresses what is left. Returns the names of the parts deleted."""
    directory_fd = open_directory(directory)
    try:
        deleted = _prune(directory_fd, list_parts(directory_fd, log), retention, now_ns)
        if pack:
            for files in list_parts(directory_fd, log):
                if files.plain is not None and files.index is not None:
                    _compress(directory_fd, files.plain)
        return deleted
    finally:
        os.close(directory_fd)


def _compress(directory_fd: int, part: str, level: int = 3) -> bool:
    archive, unfinished = packed_name(part), f".{packed_name(part)}.new"
    try:
        source_fd = open_regular(KERNEL, directory_fd, part, os.O_RDONLY, 0)
    except FileNotFoundError:
        return False
    with os.fdopen(source_fd, "rb", buffering=0) as source:
        info = os.fstat(source_fd)
        target_fd = open_regular(KERNEL, directory_fd, unfinished, _CREATE, info.st_mode & 0o777)
        with os.fdopen(target_fd, "wb", buffering=0) as target:
            crc = _pack(source, target, level, info.st_size)
            os.fsync(target_fd)
            os.utime(target_fd, ns=(info.st_atime_ns, info.st_mtime_ns))  # its age is what retention goes by
    if _crc_of_archive(directory_fd, unfinished) != crc:
        os.unlink(unfinished, dir_fd=directory_fd)
        raise ArchiveWrong(part)
    os.rename(unfinished, archive, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    os.fsync(directory_fd)
    os.unlink(part, dir_fd=directory_fd)
    return True


def _pack(source: IO[bytes], target: IO[bytes], level: int, size: int) -> int:
    crc = 0
    packer = zstandard.ZstdCompressor(level=level, write_checksum=True)
    with packer.stream_writer(target, size=size, closefd=False) as writer:
        while piece := source.read(_PIECE_BYTES):
            crc = crc32(piece, crc)
            writer.write(piece)
    return crc


def _crc_of_archive(directory_fd: int, name: str) -> int:
    crc = 0
    fd = open_regular(KERNEL, directory_fd, name, os.O_RDONLY, 0)
    with os.fdopen(fd, "rb", buffering=0) as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        while piece := reader.read(_PIECE_BYTES):
            crc = crc32(piece, crc)
    return crc


def _prune(directory_fd: int, parts: Sequence[PartFiles], retention: Retention, now_ns: int) -> list[str]:
    _complete_deletion(directory_fd, parts)
    files_of = {files.number: files for files in parts if files.plain or files.packed}
    rotated = [_rotated(directory_fd, files) for files in files_of.values()]
    going = doomed(rotated, retention, now_ns)
    for part in going:
        delete_part(directory_fd, files_of[part.number])
    return [files_of[part.number].plain or files_of[part.number].packed or "" for part in going]


def _complete_deletion(directory_fd: int, parts: Sequence[PartFiles]) -> None:
    # The newest part is never taken for one: its log might be on its way through a rotation.
    for files in parts[:-1]:
        if files.plain or files.packed:
            return
        delete_part(directory_fd, files)


def delete_part(directory_fd: int, files: PartFiles) -> None:
    for name in (files.plain, files.packed, files.index):
        if name is not None:
            os.unlink(name, dir_fd=directory_fd)


def _rotated(directory_fd: int, files: PartFiles) -> RotatedPart:
    info = os.stat(files.plain or files.packed or "", dir_fd=directory_fd, follow_symlinks=False)
    return RotatedPart(files.number, info.st_size, info.st_mtime_ns)
