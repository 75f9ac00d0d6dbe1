"""Where a session's two lines are."""

from typing import NamedTuple


class Place(NamedTuple):
    runtime_dir: str
    session: str


def router_path(place: Place) -> str:
    """As ipc.router has it, which imports more than a keystroke should wait for."""
    return f"{place.runtime_dir}/router.sock"


def worker_path(place: Place) -> str:
    """As childproc.worker has it."""
    return f"{place.runtime_dir}/w/{place.session}.sock"
