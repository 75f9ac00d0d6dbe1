"""Where a fleet lives: its directories, and the file that tells clients about them."""

import contextlib
import os
from typing import Protocol

import msgspec

from ipc.errors import UNREADABLE
from supervisor.main_log import NAME, MainLog

CONTROL_SOCKET = "control.sock"
_RECORD = "fleet.json"


class FleetPlace(msgspec.Struct, frozen=True):
    """Stands in `<runtime_dir>/fleet.json` for whoever comes without a readable fleet file."""

    name: str
    runtime_dir: str
    ring_dir: str  # the fleet's own, inside the tmpfs that the file names
    state_dir: str
    log_dir: str
    config: str
    log_format: str = "console"  # of ringvisord's own log, or json
    version: int = 1

    @property
    def control_socket(self) -> str:
        return f"{self.runtime_dir}/{CONTROL_SOCKET}"

    @property
    def main_log(self) -> MainLog:
        return MainLog(f"{self.log_dir}/{NAME}", as_json=self.log_format == "json")


class Settings(Protocol):
    """The part of a fleet file that says where things lie."""

    @property
    def name(self) -> str: ...
    @property
    def runtime_dir(self) -> str: ...
    @property
    def ring_dir(self) -> str: ...
    @property
    def state_dir(self) -> str: ...
    @property
    def log_dir(self) -> str: ...


def place_of(settings: Settings, config: str, log_format: str = "console") -> FleetPlace:
    ring_dir = f"{settings.ring_dir}/ringvisor-{os.geteuid()}-{settings.name}"
    return FleetPlace(
        settings.name,
        settings.runtime_dir,
        ring_dir,
        settings.state_dir,
        settings.log_dir,
        config,
        str(log_format),
    )


def make_directories(place: FleetPlace) -> None:
    for directory, mode in ((place.runtime_dir, 0o700), (place.state_dir, 0o700), (place.log_dir, 0o755)):
        os.makedirs(directory, mode=mode, exist_ok=True)


def applied_fleet_path(runtime_dir: str) -> str:
    """The fleet that is in force, for a supervisor that comes back after a crash."""
    return f"{runtime_dir}/fleet.applied"


def passing_sessions_dir(runtime_dir: str) -> str:
    """Sessions from the command line that are not kept, as files of the fleet."""
    return f"{runtime_dir}/run"


def forget_applied_fleet(place: FleetPlace) -> None:
    """ringvisord begins with what the file says, and with the sessions that are kept."""
    passing = passing_sessions_dir(place.runtime_dir)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(passing):
            os.unlink(f"{passing}/{name}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(applied_fleet_path(place.runtime_dir))


def write_place(place: FleetPlace) -> None:
    temporary = f"{place.runtime_dir}/{_RECORD}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, msgspec.json.encode(place))
    finally:
        os.close(fd)
    os.rename(temporary, f"{place.runtime_dir}/{_RECORD}")


def read_place(runtime_dir: str) -> FleetPlace | None:
    try:
        with open(f"{runtime_dir}/{_RECORD}", "rb") as file:
            return msgspec.json.decode(file.read(), type=FleetPlace)
    except (OSError, *UNREADABLE):
        return None
