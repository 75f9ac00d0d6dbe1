"""What a fleet, as its file has it, needs of the machine."""

import os

from config.connections import PtyIo
from config.model import Fleet, FleetSettings, bytes_of
from ipc.ring_layout import segment_bytes
from ipc.ring_spec import RingSpec
from supervisor.limits import Needs


def needs_of(fleet: Fleet) -> Needs:
    sessions = fleet.sessions.values()
    return Needs(
        sessions=len(sessions),
        terminals=sum(isinstance(session.io, PtyIo) for session in sessions),
        rings_bytes=sum(segment_bytes(RingSpec(0, session.ring.size_bytes).rounded()[0]) for session in sessions),
        rings_max_bytes=rings_max_bytes(fleet),
    )


def rings_max_bytes(fleet: FleetSettings) -> int:
    return bytes_of(fleet.ring_memory, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
