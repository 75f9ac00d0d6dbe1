"""What the keeper leaves on disk: who it is, so that another finds out whether it still lives.

A pid alone may belong to somebody else by then: start time and boot id tell.
"""

import contextlib
import os

import msgspec

_NAME = "keeper.json"


class KeeperRecord(msgspec.Struct, frozen=True):
    pid: int
    start_ticks: int  # field 22 of /proc/PID/stat
    boot_id: str


def this_process() -> KeeperRecord:
    pid = os.getpid()
    with open(f"/proc/{pid}/stat", "rb") as stat, open("/proc/sys/kernel/random/boot_id") as boot_id:
        return KeeperRecord(pid, int(stat.read().rpartition(b")")[2].split()[19]), boot_id.read().strip())


def write_record(runtime_dir: str, record: KeeperRecord) -> None:
    temporary = f"{runtime_dir}/{_NAME}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, msgspec.json.encode(record))
    finally:
        os.close(fd)
    os.rename(temporary, f"{runtime_dir}/{_NAME}")


def remove_record(runtime_dir: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{runtime_dir}/{_NAME}")
