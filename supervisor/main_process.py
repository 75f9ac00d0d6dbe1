"""ringvisord's main process becomes the keeper.

The keeper must stay small, since each fork pays for what it has imported; the command line, the fleet file and all
their libraries are therefore the business of a child that says what is to be done, where the fleet lives, and is gone.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from ipc.errors import IpcError
from ipc.ring_dir import sweep_ring_dir
from supervisor.daemonize import daemonize
from supervisor.errand import Errand, RunDemo, RunFleet, decode
from supervisor.fleet_lock import FleetTakenError, lock_fleet
from supervisor.fleet_place import (
    FleetPlace,
    applied_fleet_path,
    forget_applied_fleet,
    make_directories,
    read_place,
    write_place,
)
from supervisor.keeper.process import Installation, run
from supervisor.keeper.records import Records
from supervisor.keeper.wakeup import FORWARDED

SUPERVISOR = "supervisor.daemon.service:run"
_FAILED = 1
_ERRAND_MAX_BYTES = 1 << 16


def be_ringvisord() -> NoReturn:
    """With the signals held back until the keeper hears them (main.py)."""
    match _ask_command_line():
        case RunFleet() as errand:
            _become_ringvisord(errand)
        case RunDemo(seconds):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
            from supervisor.demo.run import run_demo  # noqa: PLC0415 - this process becomes no keeper

            sys.exit(run_demo(seconds))


def _become_ringvisord(errand: RunFleet) -> NoReturn:
    if not errand.as_daemon:
        sys.exit(_run_fleet(errand, lambda: None))
    caller = daemonize(errand.place.main_log.path)
    caller.end(_run_fleet(errand, caller.let_go))


def _run_fleet(errand: RunFleet, let_go: Callable[[], None]) -> int:
    place = errand.place
    try:
        make_directories(place)
        lock = lock_fleet(place.runtime_dir)
        place = _place_in_force(place)
        os.set_inheritable(lock, True)  # a keeper that becomes newer code keeps it; programs get fds 0 to 2 only
        write_place(place)
        let_go()
        return run(
            Installation(
                place.ring_dir,
                place.runtime_dir,
                SUPERVISOR,
                (place.runtime_dir,),
                control_socket=place.control_socket,
                log=place.main_log,
                nofile=errand.nofile,
            )
        )
    except (OSError, IpcError, FleetTakenError) as error:
        sys.stderr.write(f"ringvisord: {error}\n")
        place.main_log.note("error", "ringvisord", str(error), {})
        return _FAILED


def _place_in_force(place: FleetPlace) -> FleetPlace:
    """Of a fleet that its last ringvisord did not end: where it lives, whatever the file says by now. Else swept."""
    records = Records(place.runtime_dir)
    if records.sessions():
        if _is_edited(place):
            edited = "the fleet goes on as it was in force, its file was edited since: ringctl update applies it"
            place.main_log.say("warning", "ringvisord", edited, {"config": place.config})
        return read_place(place.runtime_dir) or place
    if living := sweep_ring_dir(place.ring_dir):
        raise FleetTakenError(
            f"{len(living)} sessions run on with rings in {place.ring_dir} ({', '.join(living[:5])}"
            f"{' …' if len(living) > 5 else ''}), and {place.runtime_dir} has no record of them: end them first"
        )
    records.clear()
    forget_applied_fleet(place)
    return place


def _is_edited(place: FleetPlace) -> bool:
    try:
        return os.stat(place.config).st_mtime_ns > os.stat(applied_fleet_path(place.runtime_dir)).st_mtime_ns
    except OSError:
        return False


def _ask_command_line() -> Errand:
    """Ends this process with the child's exit code where nothing is to be run."""
    errand, childs_end = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        os.close(errand)
        _be_command_line(childs_end)
    os.close(childs_end)
    with os.fdopen(errand, "rb") as file:
        answer = file.read(_ERRAND_MAX_BYTES)
    _, status = os.waitpid(child, 0)
    if not answer:
        sys.exit(os.waitstatus_to_exitcode(status))
    return decode(answer)


def _be_command_line(errand_fd: int) -> NoReturn:
    from supervisor.command_line import ringvisord as command_line  # noqa: PLC0415 - only the child pays for it

    command_line.main(prog_name="ringvisord", obj=errand_fd)
    raise AssertionError("click ends the process")
