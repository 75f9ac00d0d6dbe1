"""The books: every byte of the logs is read again, its checksums computed anew, and compared with the ring."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from ipc.verify import verify_session


class Balance(NamedTuple):
    session: str
    logged_bytes: int  # that the log keeps: its oldest parts may be gone
    epochs: int
    compared_bytes: int  # found in the ring, too, and equal
    lost_bytes: int
    problems: list[str]

    @property
    def holds(self) -> bool:
        return not self.problems and not self.lost_bytes


def balances(log_dir: str, ring_dir: str | None = None) -> Iterator[Balance]:
    for name in sorted(name for name in os.listdir(log_dir) if name.endswith(".log") and name != "ringvisord.log"):
        yield _balance(log_dir, ring_dir, name)


def _balance(log_dir: str, ring_dir: str | None, name: str) -> Balance:
    report = verify_session(ring_dir, name.removesuffix(".log"), log_dir, name)
    lost = sum(gap.end - gap.start for gap in report.log.gaps)
    problems = [*(f"{problem.part}: {problem.what}" for problem in report.log.problems), *report.problems]
    return Balance(
        name.removesuffix(".log"), report.log.count, len(report.log.epochs), report.compared_bytes, lost, problems
    )


def balance_lines(balance: Balance) -> list[str]:
    verdict = "balanced" if balance.holds else "DOES NOT BALANCE"
    line = (
        f"{balance.session:<6}{balance.logged_bytes:>15,} bytes in {balance.epochs:>3} runs, "
        f"{balance.lost_bytes} lost: {verdict}"
    )
    return [line, *(f"  {problem}" for problem in balance.problems)]
