"""What the command line asks of every benchmark."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    runs: int
    scale: float  # of the amounts of data and time; 1 is the full form
    sessions: int | None  # instead of a benchmark's own number
    total_bytes: int  # of `flat`
    only: tuple[str, ...]  # contestants whose name contains one of these; empty: all
    quiet_s: float  # wait so long, before each run, for others to leave the machine alone
    work_dir: Path

    def wants(self, name: str) -> bool:
        return not self.only or any(part in name for part in self.only)
