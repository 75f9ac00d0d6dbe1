"""Devices of a test's own: one that is soon full, one that can be frozen. Mounting them needs root, else: skipped."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def tmpfs(path: Path, size_bytes: int) -> Iterator[Path]:
    path.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(path))
    try:
        yield path
    finally:
        _run("umount", "-l", str(path))


class FreezableDisk:
    """An ext4 file system whose writers hang, uninterruptibly, while it is frozen: a disk that does not answer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._frozen = False

    def freeze(self) -> None:
        _run("fsfreeze", "--freeze", str(self.path))
        self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            _run("fsfreeze", "--unfreeze", str(self.path))
            self._frozen = False


@contextlib.contextmanager
def freezable_disk(path: Path) -> Iterator[FreezableDisk]:
    image = path.with_name(path.name + ".image")
    path.mkdir()
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    _run("mkfs.ext4", "-q", str(image))
    _run("mount", "-o", "loop", str(image), str(path))
    disk = FreezableDisk(path)
    try:
        yield disk
    finally:
        disk.thaw()
        _run("umount", "-l", str(path))


def _run(*command: str) -> None:
    if os.geteuid():
        pytest.skip("mounting needs root")
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"{command[0]} does not work here: {error}")


def cpu_seconds(pid: int) -> float:
    """What a process and its threads have used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wake_ups(pid: int) -> int:
    """How often its threads have gone to sleep."""
    found = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            found += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return found
