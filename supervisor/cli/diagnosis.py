"""What a machine lacks, and which number to change. Pure: facts in, findings out."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from supervisor.limits import Finding, Level, SharedMemory

_MB = 2**20
_LEAST_PYTHON = (3, 11)
_LEAST_NOFILE = 1024
_GOOD_NOFILE = 65_536
_GOOD_SPARE_PTYS = 256
_LEAST_SHM_BYTES = 64 * _MB
_GOOD_SHM_FREE_BYTES = 256 * _MB
_GOOD_INOTIFY_INSTANCES = 128
_LEAST_KERNEL = (5, 3)  # pidfd_open
_GOOD_KERNEL = (6, 15)  # PIDFD_GET_INFO


class Machine(Struct, frozen=True):
    """None and 0: could not be found out."""

    kernel: str
    python: tuple[int, int, int]
    nofile_soft: int
    nofile_hard: int
    pty_max: int
    pty_used: int
    shared_memory: SharedMemory
    membarrier_error: str
    inotify_instances: int
    packages: Mapping[str, str]  # name: version, empty where it is missing
    roots: Mapping[str, str]  # our package: the directory it was imported from
    foreign_supervisor: str  # version of the other distribution that has a package of that name
    stale_runtime_dirs: Sequence[str]


def findings(machine: Machine) -> list[Finding]:
    return [
        _python(machine),
        _kernel(machine),
        *_packages(machine),
        _shadowing(machine),
        _nofile(machine),
        _terminals(machine),
        _shared_memory(machine.shared_memory),
        _membarrier(machine),
        _inotify(machine),
        _stale(machine),
    ]


def _python(machine: Machine) -> Finding:
    version = ".".join(map(str, machine.python))
    if machine.python < _LEAST_PYTHON:
        return Finding("python", Level.FAIL, version, "install Python 3.11 or newer")
    return Finding("python", Level.OK, version)


def _kernel(machine: Machine) -> Finding:
    version = kernel_version(machine.kernel)
    if version < _LEAST_KERNEL:
        return Finding("kernel", Level.FAIL, machine.kernel, "Linux 5.3 or newer is needed (pidfd_open)")
    if version < _GOOD_KERNEL:
        note = "after a killed ringvisord, exit codes of programs that ended meanwhile may be unknown before Linux 6.15"
        return Finding("kernel", Level.OK, machine.kernel, note)
    return Finding("kernel", Level.OK, machine.kernel)


def kernel_version(release: str) -> tuple[int, int]:
    major, _, rest = release.partition(".")
    minor = rest.split(".")[0].split("-")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _packages(machine: Machine) -> Iterator[Finding]:
    missing = sorted(name for name, version in machine.packages.items() if not version)
    there = ", ".join(f"{name} {version}" for name, version in sorted(machine.packages.items()) if version)
    if missing:
        yield Finding("packages", Level.FAIL, f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    yield Finding("packages", Level.OK, there)


def _shadowing(machine: Machine) -> Finding:
    """PyPI's supervisor installs a package of the same name over ours, or is found before it."""
    own_place = "use a virtual environment of ringvisor's own"
    if len(set(machine.roots.values())) > 1:
        where = ", ".join(f"{name} from {root}" for name, root in sorted(machine.roots.items()))
        return Finding("installation", Level.FAIL, f"mixed: {where}", own_place)
    if machine.foreign_supervisor:
        found = f"PyPI's supervisor {machine.foreign_supervisor} is installed here too"
        return Finding("installation", Level.WARN, found, f"both have a package named supervisor: {own_place}")
    return Finding("installation", Level.OK, next(iter(machine.roots.values()), "?"))


def _nofile(machine: Machine) -> Finding:
    found = f"soft {machine.nofile_soft}, hard {machine.nofile_hard}"
    if machine.nofile_hard < _LEAST_NOFILE:
        return Finding(
            "nofile", Level.FAIL, found, f"raise the hard limit (LimitNOFILE=, limits.conf) to {_GOOD_NOFILE}"
        )
    if machine.nofile_hard < _GOOD_NOFILE:
        sessions = machine.nofile_hard // 8
        advice = f"enough for about {sessions} sessions; LimitNOFILE={_GOOD_NOFILE} for thousands"
        return Finding("nofile", Level.WARN, found, advice)
    return Finding("nofile", Level.OK, found)


def _terminals(machine: Machine) -> Finding:
    spare = machine.pty_max - machine.pty_used
    found = f"{machine.pty_used} of {machine.pty_max} in use"
    if spare < 1:
        return Finding("terminals", Level.FAIL, found, "sysctl kernel.pty.max=4096")
    if spare < _GOOD_SPARE_PTYS:
        return Finding("terminals", Level.WARN, found, f"{spare} left; sysctl kernel.pty.max=4096")
    return Finding("terminals", Level.OK, found)


def _shared_memory(memory: SharedMemory) -> Finding:
    found = f"{memory.path} {memory.filesystem}, {_size(memory.free_bytes)} of {_size(memory.size_bytes)} free"
    grow = f"mount -o remount,size=1G {memory.path} (docker: --shm-size=1g)"
    if memory.filesystem != "tmpfs":
        return Finding("shared memory", Level.FAIL, found, f"mount -t tmpfs tmpfs {memory.path}, or set fleet.ring_dir")
    if memory.size_bytes < _LEAST_SHM_BYTES or memory.free_bytes < _MB:
        return Finding("shared memory", Level.FAIL, found, grow)
    if memory.free_bytes < _GOOD_SHM_FREE_BYTES:
        return Finding("shared memory", Level.WARN, found, f"rings that may not grow hold programs back; {grow}")
    return Finding("shared memory", Level.OK, found)


def _membarrier(machine: Machine) -> Finding:
    if machine.membarrier_error:
        return Finding("membarrier", Level.FAIL, machine.membarrier_error, "allow membarrier(2) in the seccomp profile")
    return Finding("membarrier", Level.OK, "works")


def _inotify(machine: Machine) -> Finding:
    found = f"{machine.inotify_instances} instances for each user"
    if machine.inotify_instances < _GOOD_INOTIFY_INSTANCES:
        advice = (
            f"sysctl fs.inotify.max_user_instances={_GOOD_INOTIFY_INSTANCES}: logs -f and file checks need one each"
        )
        return Finding("inotify", Level.WARN, found, advice)
    return Finding("inotify", Level.OK, found)


def _stale(machine: Machine) -> Finding:
    if machine.stale_runtime_dirs:
        found = ", ".join(machine.stale_runtime_dirs)
        advice = "no ringvisord answers there: start it again, or remove the directory once nothing of it runs"
        return Finding("runtime directories", Level.WARN, found, advice)
    return Finding("runtime directories", Level.OK, "none without its ringvisord")


def _size(number: int) -> str:
    return f"{number // _MB} MB" if number < 10 * 2**30 else f"{number / 2**30:.0f} GB"
