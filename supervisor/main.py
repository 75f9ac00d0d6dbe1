"""`ringvisord`: the main process becomes the keeper.

The keeper must stay small, since each fork pays for what it has imported; the command line, the fleet file and all
their libraries are therefore the business of a child that says where the fleet lives, and is gone.
"""

import os
import sys
from typing import NoReturn

import msgspec

from ipc.errors import IpcError
from ipc.ring_dir import sweep_ring_dir
from supervisor.fleet_lock import FleetTakenError, lock_fleet
from supervisor.fleet_place import FleetPlace, forget_applied_fleet, make_directories, write_place
from supervisor.keeper.process import Installation, run

SUPERVISOR = "supervisor.daemon.service:run"
_FAILED = 1
_PLAN_MAX_BYTES = 1 << 16


def ringvisord() -> NoReturn:
    place = _ask_command_line()
    try:
        make_directories(place)
        lock = lock_fleet(place.runtime_dir)
        _sweep(place)
        os.set_inheritable(lock, True)  # a keeper that becomes newer code keeps it; programs get fds 0 to 2 only
        write_place(place)
        code = run(
            Installation(
                place.ring_dir,
                place.runtime_dir,
                SUPERVISOR,
                (place.runtime_dir,),
                control_socket=place.control_socket,
            )
        )
    except (OSError, IpcError, FleetTakenError) as error:
        sys.stderr.write(f"ringvisord: {error}\n")
        sys.exit(_FAILED)
    sys.exit(code)


def _sweep(place: FleetPlace) -> None:
    """What the last ringvisord on this directory left behind."""
    if living := sweep_ring_dir(place.ring_dir):
        raise FleetTakenError(
            f"the last ringvisord on {place.runtime_dir} was killed, and {len(living)} sessions run on without it "
            f"({', '.join(living[:5])}{' …' if len(living) > 5 else ''}): taking them over is not there yet, "
            "end their programs first"
        )
    forget_applied_fleet(place)


def _ask_command_line() -> FleetPlace:
    """Ends this process with the child's exit code where nothing is to be run."""
    plan, childs_end = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(plan)
        _be_command_line(childs_end)
    os.close(childs_end)
    with os.fdopen(plan, "rb") as file:
        answer = file.read(_PLAN_MAX_BYTES)
    _, status = os.waitpid(child, 0)
    if not answer:
        sys.exit(os.waitstatus_to_exitcode(status))
    return msgspec.msgpack.decode(answer, type=FleetPlace)


def _be_command_line(plan_fd: int) -> NoReturn:
    from supervisor.command_line import ringvisord as command_line  # noqa: PLC0415 - only the child pays for it

    command_line.main(prog_name="ringvisord", obj=plan_fd)
    raise AssertionError("click ends the process")


if __name__ == "__main__":
    ringvisord()
