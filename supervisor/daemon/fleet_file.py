"""The fleet as it is applied: what the supervisor goes by until an update says otherwise.

A supervisor that comes back after a crash goes on with the fleet that was in force, whatever stands in the file by
then: an edit is applied when somebody says so. How many instances `scale` asked for is kept beside it.
"""

import os

import msgspec

from config import ConfigErrors, Fleet, load
from ipc.errors import UNREADABLE
from supervisor.daemon.adhoc_files import AdHocFiles
from supervisor.fleet_place import applied_fleet_path

_SCALE = "scale.json"


class FleetFile:
    def __init__(self, config: str, runtime_dir: str, state_dir: str) -> None:
        self._config = config
        self._applied = applied_fleet_path(runtime_dir)
        self._scale_path = f"{state_dir}/{_SCALE}"
        self.adhoc = AdHocFiles(state_dir, runtime_dir)
        self.scale = self._read_scale()

    def in_force(self) -> Fleet:
        """Raises ConfigErrors where nothing was applied yet and the file is wrong."""
        try:
            with open(self._applied, "rb") as file:
                fleet = msgspec.msgpack.decode(file.read(), type=Fleet)
            self.adhoc.settle(fleet.sessions)
        except (OSError, *UNREADABLE):
            fleet = self.read()
            self.apply(fleet)
        return fleet

    def read(self, *drafts: str) -> Fleet:
        """As the file stands now, with the sessions from the command line. Raises ConfigErrors with all that is wrong.

        `drafts` are files of sessions that are about to come.
        """
        also = [*self.adhoc.paths(), *drafts]
        try:
            return load(self._config, scale=self.scale, also=also).fleet
        except ConfigErrors:
            if not self.scale:
                raise
            # A table that was scaled may be gone from the file.
            return load(self._config, also=also).fleet

    def apply(self, fleet: Fleet) -> None:
        _write(self._applied, msgspec.msgpack.encode(fleet))

    def scaled(self, table: str, instances: int) -> Fleet:
        """The file with so many instances of this table. Remembered once it has proved to be a fleet."""
        scale = {**self.scale, table: instances}
        fleet = load(self._config, scale=scale, also=self.adhoc.paths()).fleet
        self.scale = scale
        _write(self._scale_path, msgspec.json.encode(scale))
        return fleet

    def _read_scale(self) -> dict[str, int]:
        try:
            with open(self._scale_path, "rb") as file:
                return msgspec.json.decode(file.read(), type=dict[str, int])
        except (OSError, *UNREADABLE):
            return {}


def _write(path: str, data: bytes) -> None:
    unnamed = path + ".new"
    fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(unnamed, path)
