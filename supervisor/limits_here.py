"""The limits that are in force for this process, as the kernel states them."""

import os
import resource
from collections.abc import Iterator

from ipc.ring_file import rings_bytes
from supervisor.limits import Ceiling, Limits, SharedMemory

_CAP_SYS_RESOURCE = 1 << 24
_CGROUPS = "/sys/fs/cgroup"


def limits_here(ring_root: str, ring_dir: str) -> Limits:
    """`ring_dir`: the fleet's own below `ring_root`; what its rings take already need not be free."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    may_raise = _may_raise_limits()
    return Limits(
        nofile_hard=hard,
        nofile_most=sysctl("fs/nr_open") if may_raise else hard,
        pty_max=sysctl("kernel/pty/max"),
        pty_used=sysctl("kernel/pty/nr"),
        shared_memory=shared_memory(ring_root, rings_bytes(ring_dir) if os.path.isdir(ring_dir) else 0),
        processes=[*_of_cgroups(), *(() if may_raise or os.getuid() == 0 else _of_user())],
    )


def sysctl(name: str) -> int:
    """0: could not be found out."""
    return _number(f"/proc/sys/{name}") or 0


def shared_memory(path: str, ours_bytes: int = 0) -> SharedMemory:
    try:
        found = os.statvfs(path)
    except OSError:
        return SharedMemory(path, "missing", 0, 0)
    free_bytes = found.f_bavail * found.f_frsize + ours_bytes
    return SharedMemory(path, _filesystem(os.path.realpath(path)), found.f_blocks * found.f_frsize, free_bytes)


def _filesystem(path: str) -> str:
    """Of the mount point that is nearest above; of several mounted over each other the last is the one in sight."""
    best, kind = "", "unknown"
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, point, found, *_ = line.split()
            if f"{path}/".startswith(f"{point.rstrip('/')}/") and len(point) >= len(best):
                best, kind = point, found
    return kind


def _may_raise_limits() -> bool:
    with open("/proc/self/status") as status:
        effective = next((line.split()[1] for line in status if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) & _CAP_SYS_RESOURCE)


def _of_cgroups() -> Iterator[Ceiling]:
    """Each level counts all below it. In a container the paths may be those of the host: then the root is ours."""
    for directory in _cgroups():
        most, used = _number(f"{directory}/pids.max"), _number(f"{directory}/pids.current")
        if most is not None and used is not None:
            yield Ceiling(f"{directory}/pids.max", most, used)


def _cgroups() -> Iterator[str]:
    with open("/proc/self/cgroup") as lines:
        for line in lines:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controllers == "" or "pids" in controllers.split(","):
                root = f"{_CGROUPS}/pids" if controllers else _CGROUPS
                while path.strip("/"):
                    yield f"{root}{path}"
                    path = os.path.dirname(path)
                yield root


def _of_user() -> Iterator[Ceiling]:
    most, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if most != resource.RLIM_INFINITY:
        yield Ceiling("the limit on your processes (LimitNPROC=, ulimit -u)", most, _tasks_of(os.getuid()))


def _tasks_of(uid: int) -> int:
    """Threads count, too."""
    tasks = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                tasks += os.stat(f"/proc/{name}/task").st_nlink - 2
        except OSError:
            continue  # gone meanwhile
    return tasks


def _number(path: str) -> int | None:
    """None: no such file, or "max"."""
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
