"""What the command line has found out that the main process is to do."""

import msgspec

from supervisor.fleet_place import FleetPlace


class RunFleet(msgspec.Struct, frozen=True, tag=True):
    place: FleetPlace
    as_daemon: bool = False
    nofile: int = 0  # open files that the fleet needs


class RunDemo(msgspec.Struct, frozen=True, tag=True):
    """In the main process itself: keys and signals of a terminal concern one process then."""

    seconds: float | None


Errand = RunFleet | RunDemo

_errands: msgspec.msgpack.Decoder[Errand] = msgspec.msgpack.Decoder(Errand)


def encode(errand: Errand) -> bytes:
    return msgspec.msgpack.encode(errand)


def decode(data: bytes) -> Errand:
    return _errands.decode(data)
