"""What `doctor` looks at, on this machine and in this installation."""

import os
import platform
import resource
import sys
from importlib import import_module, metadata

from supervisor.cli.diagnosis import Machine
from supervisor.cli.places import is_listening, usual_places
from supervisor.limits_here import shared_memory, sysctl

_PACKAGES = ("click", "msgspec", "numpy", "psutil", "ptyprocess", "setproctitle", "structlog", "zstandard")
_OURS = ("supervisor", "childproc", "ipc", "config")


def this_machine(ring_dir: str) -> Machine:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        kernel=platform.release(),
        python=sys.version_info[:3],
        nofile_soft=soft,
        nofile_hard=hard if hard != resource.RLIM_INFINITY else 1 << 30,
        pty_max=sysctl("kernel/pty/max"),
        pty_used=sysctl("kernel/pty/nr"),
        shared_memory=shared_memory(ring_dir),
        membarrier_error=_membarrier_error(),
        inotify_instances=sysctl("fs/inotify/max_user_instances"),
        packages={name: _version(name) for name in _PACKAGES},
        roots={name: _root(name) for name in _OURS},
        foreign_supervisor=_version("supervisor"),
        stale_runtime_dirs=[place.runtime_dir for place in usual_places() if not is_listening(place.socket)],
    )


def _membarrier_error() -> str:
    from ipc.ordering import register  # noqa: PLC0415 - fails at import where there is no libc to call

    try:
        register()
    except OSError as error:
        return str(error)
    return ""


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _root(package: str) -> str:
    file = import_module(package).__file__
    return os.path.dirname(os.path.dirname(os.path.realpath(file))) if file else "?"
