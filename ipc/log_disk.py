"""All logs of a fleet together stay below its cap on disk: the oldest rotated parts go, whosever they are.

A file is a log of ours if its index lies beside it; nothing else in a directory is counted or touched, and a part that
is being written is never deleted. Logs on another device have an archivist and a count of their own.
"""

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from ipc.log_archive import delete_part
from ipc.log_directory import PartFiles, index_name, open_directory, packed_name
from ipc.log_retention import RotatedPart, oldest_first

_ROTATED = re.compile(r"(.+)\.(\d{6,})")


class Pruned(NamedTuple):
    """`over_bytes`: still too much, and no rotated part is left."""

    deleted: list[str]
    freed_bytes: int
    over_bytes: int


class _Place(NamedTuple):
    directory: str
    log: str


def keep_below(directories: Iterable[str], cap_bytes: int) -> Pruned:
    total_bytes = 0
    rotated: dict[_Place, list[RotatedPart]] = {}
    for directory in sorted(set(directories)):
        total_bytes += _look(directory, rotated)
    deleted, freed_bytes = [], 0
    for place, part in oldest_first(rotated):
        if total_bytes - freed_bytes <= cap_bytes:
            break
        deleted.append(_delete(place, part.number))
        freed_bytes += part.size_bytes
    return Pruned(deleted, freed_bytes, max(0, total_bytes - freed_bytes - cap_bytes))


def _look(directory: str, rotated: dict[_Place, list[RotatedPart]]) -> int:
    """Adds the rotated parts; returns what all logs in there take."""
    with os.scandir(directory) as entries:
        files = {
            entry.name: entry.stat(follow_symlinks=False) for entry in entries if entry.is_file(follow_symlinks=False)
        }
    total_bytes = 0
    for name, index in files.items():
        base = name.removesuffix(index_name(""))
        forms = [files[form] for form in (base, packed_name(base)) if form in files]
        if base == name or not forms:
            continue
        size_bytes = index.st_size + sum(form.st_size for form in forms)
        total_bytes += size_bytes
        if match := _ROTATED.fullmatch(base):
            part = RotatedPart(int(match[2]), size_bytes, forms[0].st_mtime_ns)
            rotated.setdefault(_Place(directory, match[1]), []).append(part)
    return total_bytes


def _delete(place: _Place, number: int) -> str:
    directory_fd = open_directory(place.directory)
    try:
        part = f"{place.log}.{number:06d}"
        there = set(os.listdir(directory_fd))
        plain, packed, index = (name if name in there else None for name in (part, packed_name(part), index_name(part)))
        delete_part(directory_fd, PartFiles(number, plain, packed, index))
        return part
    finally:
        os.close(directory_fd)
