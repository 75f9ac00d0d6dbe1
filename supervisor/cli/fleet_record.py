"""`fleet.json` in a runtime directory: where a fleet keeps what, written by its daemon for those who come without it.

It is read tolerantly: a daemon of another release, or one that was killed while it started, must not keep an operator
from his logs.
"""

import msgspec

from ipc.errors import UNREADABLE

NAME = "fleet.json"
_MOST_BYTES = 1 << 20


class FleetRecord(msgspec.Struct, frozen=True):
    name: str = ""
    pid: int = 0
    ring_dir: str = ""
    log_dir: str = ""
    state_dir: str = ""
    config: str = ""
    control: str = ""


_UNKNOWN = FleetRecord()


def read_fleet_record(runtime_dir: str) -> FleetRecord:
    """One of which nothing is known where there is none."""
    try:
        with open(f"{runtime_dir}/{NAME}", "rb") as file:
            return parse_fleet_record(file.read(_MOST_BYTES))
    except OSError:
        return _UNKNOWN


def parse_fleet_record(raw: bytes) -> FleetRecord:
    """Each field on its own: one that is damaged leaves the others."""
    try:
        found = msgspec.json.decode(raw)
    except UNREADABLE:
        return _UNKNOWN
    if not isinstance(found, dict):
        return _UNKNOWN
    types = {"pid": int}
    kept = {
        name: found[name] for name in FleetRecord.__struct_fields__ if type(found.get(name)) is types.get(name, str)
    }
    return FleetRecord(**kept)
