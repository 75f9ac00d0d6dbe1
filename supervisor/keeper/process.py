"""The keeper's process as it ships: which rings, workers and services it is made of.

`python -m supervisor.keeper.process INSTALLATION` runs it in the foreground; a keeper that becomes newer code calls the
same with `--dry FD` or `--resume FD` behind it.
"""

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

import msgspec
from setproctitle import setproctitle

from childproc import worker
from childproc.job import WorkerJob
from ipc.ring_dir import create_ring_dir, forget_session, remove_ring_dir
from ipc.ring_file import create_ring
from ipc.unix_socket import listen_stream
from supervisor.keeper import exec_template, reexec
from supervisor.keeper.adopting import adopt
from supervisor.keeper.backoff import STEADY_S
from supervisor.keeper.fd_store import taken_back
from supervisor.keeper.keeper import Collaborators, Keeper, KeeperConfig, first_state, load_state
from supervisor.keeper.log import VOICE, log, speak_as
from supervisor.keeper.services import Service, ServiceSpec
from supervisor.main_log import MainLog

_ROUTER = "supervisor.router_service"


def _run_worker(job: WorkerJob) -> NoReturn:
    speak_as("worker")
    worker.run(job, report=log)


COLLABORATORS = Collaborators(_run_worker, create_ring, forget_session)


class Installation(msgspec.Struct, frozen=True):
    """Where a fleet lives, and what decides for it."""

    ring_dir: str
    runtime_dir: str
    supervisor_entry: str
    supervisor_args: tuple[str, ...] = ()
    steady_s: float = STEADY_S
    control_socket: str = ""  # where clients connect; they queue while a supervisor restarts
    log: MainLog = MainLog()
    nofile: int = 0  # open files that the fleet needs; programs keep the limits that ringvisord was started with


def keeper_config(installation: Installation, control: socket.socket | None) -> KeeperConfig:
    module = installation.supervisor_entry.partition(":")[0]
    fds = {} if control is None else {"control": control.detach()}
    services = (
        ServiceSpec("supervisor", installation.supervisor_entry, installation.supervisor_args, fds, decides=True),
        ServiceSpec("router", f"{_ROUTER}:run", (installation.ring_dir, installation.runtime_dir)),
    )
    is_given = sys.path[:1] == [os.getcwd()]  # ours is the code of this directory: `python -m` in a clone
    isolated = () if is_given else ("-P",)  # or it would be that of whatever directory we happen to be in
    command = (sys.executable, *isolated, "-m", "supervisor.keeper.process", msgspec.json.encode(installation).decode())
    return KeeperConfig(
        installation.ring_dir,
        installation.runtime_dir,
        services,
        (module, _ROUTER),
        command,
        steady_s=installation.steady_s,
    )


def run(installation: Installation) -> int:
    """Until the supervisor asks for the end; gives the exit code that it asked for."""
    VOICE.log = installation.log
    stored = taken_back(os.environ, os.getpid())
    create_ring_dir(installation.ring_dir)
    control = listen_stream(installation.control_socket) if installation.control_socket else None
    state = first_state(keeper_config(installation, control))
    _raise_nofile(installation.nofile)
    state.table = adopt(installation.ring_dir, installation.runtime_dir, state.services, stored)
    keeper = Keeper(state, COLLABORATORS)
    keeper.store.go_on(stored, state.table.runs())
    return _run(keeper, installation)


def _run(keeper: Keeper, installation: Installation) -> int:
    setproctitle(f"ringvisord: keeper [{os.path.basename(installation.runtime_dir)}]")
    code = keeper.run()
    remove_ring_dir(installation.ring_dir)
    return code


def go_on(installation: Installation, memory: int) -> int:
    """As newer code, after the older one's exec: with its table and fds, and with our own idea of services."""
    VOICE.log = installation.log
    state = load_state(memory)
    ours = keeper_config(installation, None)
    state.config = msgspec.structs.replace(ours, start_max_s=state.config.start_max_s)
    state.services = renewed(state.services, ours.services)
    return _run(Keeper(state, COLLABORATORS), installation)


def renewed(running: Sequence[Service], specs: Sequence[ServiceSpec]) -> list[Service]:
    """Fds were given once, at the first start, and stay with the name."""
    by_name = {service.spec.name: service for service in running}
    services = []
    for spec in specs:
        service = by_name.get(spec.name, Service(spec))
        service.spec = msgspec.structs.replace(spec, fds=service.spec.fds)
        services.append(service)
    return services


def _try(installation: Installation, memory: int) -> int:
    """The dry run: says on stdout what was found, or ends with why not as its last line on stderr."""
    from supervisor.upgrade.check import CodeRefusedError, check, encode  # noqa: PLC0415 - no keeper needs it

    speaks = load_state(memory).speaks
    try:
        found = check(installation.runtime_dir, speaks)
    except CodeRefusedError as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 1
    os.write(1, encode(found))
    return 0


def _raise_nofile(needed: int) -> None:
    """Beyond the hard limit where we may; who must not has said so, and what lacks the sessions will say."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, needed))


def _decoded(installation: str) -> Installation:
    return msgspec.json.decode(installation, type=Installation)


def main(argv: list[str]) -> int:
    match argv:
        case [_, installation, reexec.DRY, memory]:
            return _try(_decoded(installation), int(memory))
        case [_, installation, exec_template.TEMPLATE, connection, stderr]:
            VOICE.log = _decoded(installation).log
            exec_template.be_template(int(connection), int(stderr), keeper_config(_decoded(installation), None).preload)
            return 0
        case [_, installation, reexec.RESUME, memory]:
            return go_on(_decoded(installation), int(memory))
        case [_, installation]:
            return run(_decoded(installation))
        case _:
            sys.stderr.write(f"usage: python -m supervisor.keeper.process INSTALLATION, not {argv[1:]}\n")
            return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
