"""The dry run of the installed code, in a process of its own: what would stop an upgrade is found before it begins.

The files are whole, everything loads, the state of the running code can be read (that is the keeper's own part), the
fleet as it is in force and as its file has it now are understood, and so is all that the running code has written.
"""

from collections.abc import Mapping

import msgspec

from config.errors import ConfigErrors
from config.model import Fleet
from ipc.errors import UNREADABLE
from supervisor.fleet_place import FleetPlace, applied_fleet_path, read_place
from supervisor.release import RELEASE
from supervisor.upgrade.installation import damaged_files, load_everything
from supervisor.upgrade.versions import misunderstandings


class CodeRefusedError(Exception):
    """One line that says why."""


class Found(msgspec.Struct, frozen=True):
    release: str
    modules: int
    sessions: int


def check(runtime_dir: str, running: Mapping[str, int]) -> Found:
    if damaged := damaged_files():
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        raise CodeRefusedError(f"the installation is not whole: {damaged[0]}{more}; is an installation under way?")
    modules = load_everything()
    if lacking := misunderstandings(running):
        raise CodeRefusedError(f"{'; '.join(lacking)}: install the releases in between one by one, or end the fleet")
    place = read_place(runtime_dir)
    if place is None:
        raise CodeRefusedError(f"{runtime_dir}/fleet.json cannot be read")
    return Found(RELEASE, modules, _sessions(place))


def _sessions(place: FleetPlace) -> int:
    from supervisor.daemon.fleet_file import FleetFile  # noqa: PLC0415 - it is what is being tried

    try:
        with open(applied_fleet_path(place.runtime_dir), "rb") as file:
            msgspec.msgpack.decode(file.read(), type=Fleet)
    except FileNotFoundError:
        pass
    except UNREADABLE as error:
        raise CodeRefusedError(f"the fleet in force cannot be read: {error}") from error
    try:
        return len(FleetFile(place.config, place.runtime_dir, place.state_dir).read().sessions)
    except ConfigErrors as errors:
        first, *others = errors.problems
        more = f" (and {len(others)} more: ringvisord check)" if others else ""
        raise CodeRefusedError(f"the fleet file is refused: {first}{more}") from errors


def encode(found: Found) -> bytes:
    return msgspec.json.encode(found)


def decode(said: str) -> Found:
    return msgspec.json.decode(said, type=Found)
