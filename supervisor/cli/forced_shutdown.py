"""`ringctl shutdown --force`: ends what a fleet has left running, from its records, with no daemon to ask.

    keeper, supervisor    killed first: they would start again what ends
    programs              their stop signal, their timeout, then the whole tree is killed
    workers               end by themselves once they have passed on what was written
    router                last: it writes that to the logs
    then                  sockets, records and rings are removed; logs and state stay

The fleet's lock is held meanwhile, so that no ringvisord begins in the middle of it. Of a program's tree is killed what
was below it when we came, or is still in its terminal session. What had left both before is nobody's that we can name.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from childproc.identity import Identity
from config.policies import StopSpec
from ipc.ring_dir import remove_ring_dir, sweep_ring_dir
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.places import FleetPlace
from supervisor.cli.remains import Remains, hold, is_somebody_else, read_remains, stop_specs
from supervisor.daemon.process_tree import Process, below, claim, kill, kill_below, look
from supervisor.fleet_lock import FleetTakenError, lock_fleet
from supervisor.fleet_place import applied_fleet_path, passing_sessions_dir

_KILLED_S = 5.0
_DRAIN_S = 5.0  # for workers, then for the router
Say = Callable[[str], None]


def force_shutdown(place: FleetPlace, timeout_s: float | None, say: Say) -> Exit:
    """`timeout_s`: a limit to each program's own stop timeout."""
    runtime_dir = place.runtime_dir
    if not os.path.isdir(runtime_dir):
        raise Refusal(f"there is no {runtime_dir}: nothing to shut down; -c FILE or -n FLEET names another fleet")
    remains = read_remains(runtime_dir)
    if remains.is_nothing and not os.path.isdir(place.record.ring_dir):
        say(f"nothing is left of the fleet in {runtime_dir}")
        return Exit.DONE
    if not remains.is_of_this_boot:
        say("its records are of another boot: nothing of it can run")
    _name_strangers(remains, say)
    if remains.keeper is not None:
        _kill("keeper", remains.keeper, say)
    lock = _lock(runtime_dir)
    try:
        if "supervisor" in remains.services:
            _kill("supervisor", remains.services["supervisor"], say)
        left = _stop(_programs(remains, stop_specs(runtime_dir), timeout_s), say)
        _end("worker of {}", remains.workers, say, signum=None)
        _end("{}", {name: one for name, one in remains.services.items() if name == "router"}, say)
        left += _clean(place, say)
    finally:
        os.close(lock)
    if left:
        raise Refusal(f"{', '.join(left)} could not be ended: in the kernel (D state)? Try again, ps shows them")
    say("Shut down")
    return Exit.DONE


def _name_strangers(remains: Remains, say: Say) -> None:
    named = {**remains.services, **{f"the program of {name}": one for name, one in remains.programs.items()}}
    if remains.keeper is not None:
        named["keeper"] = remains.keeper
    for name, process in named.items():
        if is_somebody_else(process):
            say(f"{name} is gone: pid {process.pid} is another process by now, and left alone")


def _lock(runtime_dir: str) -> int:
    try:
        return lock_fleet(runtime_dir)
    except FleetTakenError as taken:
        raise Refusal(f"the records do not name the ringvisord that runs: {taken}") from None


def _kill(name: str, process: Identity, say: Say) -> None:
    pidfd = hold(process)
    if pidfd < 0:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if not _wait_dead([pidfd], _KILLED_S):
            say(f"killed {name}, pid {process.pid}")
    finally:
        os.close(pidfd)


def _end(title: str, processes: dict[str, Identity], say: Say, signum: int | None = signal.SIGTERM) -> None:
    """All of them have so long to end; then they are killed."""
    held = {name: pidfd for name, process in processes.items() if (pidfd := hold(process)) >= 0}
    try:
        for pidfd in held.values() if signum is not None else ():
            _send(pidfd, signum or 0)
        stuck = _wait_dead(held.values(), _DRAIN_S)
        for name, pidfd in held.items():
            if pidfd in stuck:
                _send(pidfd, signal.SIGKILL)
            say(f"{'killed' if pidfd in stuck else 'ended'} {title.format(name)}, pid {processes[name].pid}")
        _wait_dead(stuck, _KILLED_S)
    finally:
        for pidfd in held.values():
            os.close(pidfd)


def _send(pidfd: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


def _wait_dead(pidfds: Iterable[int], most_s: float) -> set[int]:
    """Those that are not."""
    left, deadline_s = set(pidfds), time.monotonic() + most_s
    poll = select.poll()
    for pidfd in left:
        poll.register(pidfd, select.POLLIN)
    while left:
        left_s = max(0.0, deadline_s - time.monotonic())
        dead = {pidfd for pidfd, _ in poll.poll(left_s * 1000)}
        for pidfd in dead:
            poll.unregister(pidfd)
        left -= dead
        if not left_s:
            break
    return left


# ---- programs


@dataclass(frozen=True, slots=True)
class _Program:
    session: str
    process: Identity
    pidfd: int
    stop: StopSpec
    timeout_s: float
    tree: list[Process]


def _programs(remains: Remains, stops: dict[str, StopSpec], timeout_s: float | None) -> list[_Program]:
    found = []
    for name, process in remains.programs.items():
        pidfd = hold(process)
        if pidfd >= 0:
            stop = stops.get(name, StopSpec())
            most_s = stop.timeout_s if timeout_s is None else min(stop.timeout_s, timeout_s)
            found.append(_Program(name, process, pidfd, stop, most_s, list(below(process.pid))))
    return found


def _stop(programs: list[_Program], say: Say) -> list[str]:
    """The sessions of those that would not even be killed."""
    try:
        for program in programs:
            _ask_to_end(program)
        begun_s, left = time.monotonic(), sorted(programs, key=lambda program: program.timeout_s)
        stuck = []
        for program in left:
            if not _wait_dead([program.pidfd], max(0.0, begun_s + program.timeout_s - time.monotonic())):
                say(f"{program.session}: stopped")
            elif _kill_tree(program):
                say(f"{program.session}: killed, it did not end within {program.timeout_s:g} s")
            else:
                stuck.append(program.session)
            _kill_left_behind(program)
    finally:
        for program in programs:
            os.close(program.pidfd)
    return stuck


def _ask_to_end(program: _Program) -> None:
    """The group, as a stop does. The pidfd was opened before: as long as that one is not dead, its pid is its own."""
    if not _wait_dead([program.pidfd], 0):
        return
    try:
        os.killpg(program.process.pid, program.stop.signal)
    except (ProcessLookupError, PermissionError):
        _send(program.pidfd, program.stop.signal)


def _kill_tree(program: _Program) -> bool:
    kill_below([program.process.pid])
    return not _wait_dead([program.pidfd], _KILLED_S)


def _kill_left_behind(program: _Program) -> None:
    for process in program.tree:
        kill(process)
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        found = look(pid)
        if found is not None and found.sid == program.process.pid and claim(pid)[0] == program.session:
            kill(found)


# ---- files


def _clean(place: FleetPlace, say: Say) -> list[str]:
    """What is left of it besides logs and state. The sessions whose rings somebody still writes."""
    runtime_dir, ring_dir = place.runtime_dir, place.record.ring_dir
    living = sweep_ring_dir(ring_dir) if ring_dir else []
    if living:
        return [f"the worker of {session}" for session in living]
    if ring_dir and os.path.isdir(ring_dir):
        remove_ring_dir(ring_dir)
        say(f"removed {ring_dir}")
    for directory in ("records", "w"):
        _empty(f"{runtime_dir}/{directory}")
    _empty(passing_sessions_dir(runtime_dir))
    for path in ("control.sock", "router.sock", "keeper.json"):
        _unlink(f"{runtime_dir}/{path}")
    _unlink(applied_fleet_path(runtime_dir))
    say(f"removed sockets and records in {runtime_dir}")
    return []


def _empty(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            _unlink(f"{directory}/{name}")


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
