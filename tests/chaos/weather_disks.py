"""What the weather takes away: room on a disk, in shared memory, in the table of processes. All of it needs root, and
what is not there is left out."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = "/sys/fs/cgroup"


class Disk:
    """A tmpfs that is full at once when it is made as small as what lies on it."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path, self._size_bytes = path, size_bytes
        path.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "none", str(path))

    def fill(self) -> None:
        slack_bytes = 0
        while not self._resize(self._used_bytes() + slack_bytes):  # somebody wrote in between
            slack_bytes += 4096

    def heal(self) -> None:
        self._resize(self._size_bytes)

    def _used_bytes(self) -> int:
        found = os.statvfs(self._path)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def _resize(self, size_bytes: int) -> bool:
        command = ["mount", "-o", f"remount,size={max(size_bytes, 4096)}", str(self._path)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        _run("umount", "-l", str(self._path))


class ProcessLimit:
    """A pids cgroup that ringvisord is started in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir()
        self.wrapper = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(path))

    def fill(self) -> None:
        (self._path / "pids.max").write_text((self._path / "pids.current").read_text())

    def heal(self) -> None:
        (self._path / "pids.max").write_text("max")

    def close(self) -> None:
        self._path.rmdir()


@contextlib.contextmanager
def disk(path: Path, size_bytes: int) -> Iterator[Disk | None]:
    """None, and a plain directory: it cannot be mounted here."""
    try:
        found = Disk(path, size_bytes)
    except (OSError, subprocess.CalledProcessError):
        path.mkdir(exist_ok=True)
        yield None
        return
    try:
        yield found
    finally:
        found.close()


@contextlib.contextmanager
def process_limit(name: str) -> Iterator[ProcessLimit | None]:
    for parent in (Path(_CGROUPS, "pids"), Path(_CGROUPS)):
        try:
            limit = ProcessLimit(parent / name)
        except OSError:
            continue
        try:
            limit.heal()  # there is such a file
        except OSError:
            limit.close()
            continue
        try:
            yield limit
        finally:
            limit.close()
        return
    yield None


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
