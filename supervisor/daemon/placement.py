"""What the daemon knows of a session besides its spec and its lifecycle: where it lies, and times for people."""

from dataclasses import dataclass

from config.model import SessionSpec


@dataclass(slots=True)
class Placement:
    slot: int
    worker_pid: int = 0
    worker_hangs: bool = False
    started_wall_ns: int = 0  # of the last epoch
    ended_wall_ns: int = 0
    broken: str = ""  # why its ring could not be made


def shown_name(spec: SessionSpec) -> str:
    """As supervisorctl shows it: the group in front where it has another name."""
    return spec.name if spec.group == spec.name else f"{spec.group}:{spec.name}"


class Slots:
    """Of the board. The lowest is taken first: a reader of the board looks only as far as the highest in use."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._lowest = 0  # below it all are taken

    def take(self) -> int:
        while self._lowest in self._taken:
            self._lowest += 1
        self._taken.add(self._lowest)
        return self._lowest

    def claim(self, slot: int) -> None:
        """The keeper has it already."""
        self._taken.add(slot)

    def give_back(self, slot: int) -> None:
        self._taken.discard(slot)
        self._lowest = min(self._lowest, slot)
