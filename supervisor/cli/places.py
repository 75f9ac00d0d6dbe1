"""Which fleet is meant, and where its control socket is.

The file that is named or found says it, and only that: a command never falls through to another fleet that happens to
run. Only where there is no file, or one that cannot be read, the places of runtime directories are searched; then the
fleet must be the only one, or, where there is a broken file, one that was started from it.
"""

import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

from ipc.unix_socket import connect_stream
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.fleet_record import FleetRecord, read_fleet_record

CONTROL_NAME = "control.sock"
_PROBE_MAX_S = 0.5


class Wanted(NamedTuple):
    """The global options."""

    config: str | None = None
    socket: str | None = None
    fleet: str | None = None


class FleetPlace(NamedTuple):
    runtime_dir: str
    socket: str
    record: FleetRecord
    log_dir: str = ""  # as the file has it

    @property
    def name(self) -> str:
        return self.record.name or os.path.basename(self.runtime_dir)


def find_place(wanted: Wanted) -> FleetPlace:
    """Raises Refusal where none can be named; whether anybody answers there is not asked."""
    if wanted.socket is not None:
        return place_of_socket(wanted.socket.removeprefix("unix://"))
    if wanted.fleet is not None:
        return _named(wanted.fleet)
    return _configured(wanted.config)


def _configured(named: str | None) -> FleetPlace:
    # `config` takes longer to import than all else together, and -s needs none of it.
    from config.errors import ConfigErrors  # noqa: PLC0415
    from config.load import find_config, load_settings, surroundings  # noqa: PLC0415

    around, path = surroundings(), ""
    try:
        path = find_config(named, around)
        settings = load_settings(path, around=around)
    except ConfigErrors as wrong:
        return _without_config(path, str(wrong.problems[0]))
    record = read_fleet_record(settings.runtime_dir)
    path = f"{settings.runtime_dir}/{CONTROL_NAME}"
    return FleetPlace(settings.runtime_dir, path, record, record.log_dir or settings.log_dir)


def place_of_socket(path: str) -> FleetPlace:
    path = os.path.abspath(path)
    record = read_fleet_record(os.path.dirname(path))
    return FleetPlace(os.path.dirname(path), path, record, record.log_dir)


def _place(runtime_dir: str) -> FleetPlace:
    return place_of_socket(f"{runtime_dir}/{CONTROL_NAME}")


def running_places(bases: Iterable[str]) -> list[FleetPlace]:
    """Every runtime directory in the usual places, whether its daemon lives or not."""
    return [_place(path) for base in bases for path in _directories(base)]


def usual_places() -> list[FleetPlace]:
    return running_places(usual_bases())


def usual_bases() -> list[str]:
    from config.load import surroundings  # noqa: PLC0415 - as in _configured
    from config.locations import runtime_bases  # noqa: PLC0415 - as in _configured

    return runtime_bases(surroundings())


def _named(fleet: str) -> FleetPlace:
    bases = usual_bases()
    found = next((place for place in running_places(bases) if fleet in {place.name, _leaf(place)}), None)
    if found is None:
        tried = ", ".join(f"{base}/{fleet}" for base in bases)
        raise Refusal(
            f"no fleet {fleet} answers: looked for {tried}; ringctl fleets lists what runs, -c FILE names a fleet file",
            Exit.NO_ANSWER,
        )
    return found


def _leaf(place: FleetPlace) -> str:
    return os.path.basename(place.runtime_dir)


def _without_config(path: str, problem: str) -> FleetPlace:
    """`path`: of a file that is there, or was named, and cannot be read; empty: there is none."""
    bases = usual_bases()
    places = [place for place in running_places(bases) if not path or place.record.config in {"", path}]
    listening = [place for place in places if is_listening(place.socket)]
    match listening or places:
        case [only]:
            return only
        case []:
            tried = ", ".join(f"{base}/*/{CONTROL_NAME}" for base in bases)
            code = Exit.USAGE if path and not os.path.exists(path) else Exit.NO_ANSWER
            raise Refusal(f"no ringvisord answers: looked for {tried}; {problem}", code)
        case several if listening:
            raise Refusal(f"several fleets run here: {_names(several)}; say which one with -n NAME", Exit.USAGE)
        case several:
            raise Refusal(
                f"no ringvisord answers: {_names(several)} have ended; start one, or say -n NAME", Exit.NO_ANSWER
            )


def is_listening(path: str) -> bool:
    """A socket that its process left behind refuses; one of another user's counts as listening."""
    try:
        connect_stream(path, timeout_s=_PROBE_MAX_S).close()
    except (TimeoutError, PermissionError):
        return True
    except OSError:
        return False
    return True


def _names(places: Iterable[FleetPlace]) -> str:
    return ", ".join(place.name for place in places)


def _directories(base: str) -> list[str]:
    """Of those that only we or root can have made: /tmp is everybody's."""
    try:
        status = os.lstat(base)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {0, os.geteuid()}:
            return []
        with os.scandir(base) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
