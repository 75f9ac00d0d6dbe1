"""What the daemon knows of a session besides its spec and its lifecycle: where it lies, and times for people."""

from dataclasses import dataclass

from config.model import SessionSpec


@dataclass(slots=True)
class Placement:
    slot: int
    worker_pid: int = 0
    started_wall_ns: int = 0  # of the last epoch
    ended_wall_ns: int = 0
    broken: str = ""  # why its ring could not be made


def shown_name(spec: SessionSpec) -> str:
    """As supervisorctl shows it: the group in front where it has another name."""
    return spec.name if spec.group == spec.name else f"{spec.group}:{spec.name}"


def free_slot(taken: set[int]) -> int:
    """The lowest: a reader of the board looks only as far as the highest in use."""
    slot = 0
    while slot in taken:
        slot += 1
    return slot
