"""Programs that keep their own books, and the comparison with ours."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from ipc.log_verify import verify_log

_SOURCE = Path(__file__).with_name("ledger_source.c")
RECORD_BYTES = 64
EXIT_CODE = 7


def build_source(directory: str) -> str:
    """The compiled program."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("the programs that keep the books are written in C: apt install gcc libc6-dev")
    program = f"{directory}/ledger_source"
    subprocess.run([compiler, "-O2", "-o", program, str(_SOURCE)], check=True)
    return program


class Balance(NamedTuple):
    session: str
    written_bytes: int
    logged_bytes: int
    gap_bytes: int
    equal: bool
    problems: list[str]

    @property
    def holds(self) -> bool:
        return self.equal and not self.problems and self.written_bytes == self.logged_bytes + self.gap_bytes

    def __str__(self) -> str:
        verdict = "balances" if self.holds else "DOES NOT BALANCE"
        what = (
            f"{self.session}: wrote {self.written_bytes}, logged {self.logged_bytes}, gaps {self.gap_bytes}: {verdict}"
        )
        return "\n  ".join([what, *self.problems])


def balance(program: str, ledger: str, log_dir: str, session: str) -> Balance:
    """What the program says it wrote against the bytes in its log, compared as bytes."""
    with open(ledger) as file:
        count = int(file.read())
    report = verify_log(log_dir, f"{session}.log")
    logged = os.stat(f"{log_dir}/{session}.log").st_size
    gaps = sum(gap.end - gap.start for gap in report.gaps)
    equal = gaps > 0 or _digest_of_log(f"{log_dir}/{session}.log") == _digest_expected(program, count)
    return Balance(session, count * RECORD_BYTES, logged, gaps, equal, [str(problem) for problem in report.problems])


def _digest_expected(program: str, count: int) -> bytes:
    with subprocess.Popen([program, "expect", str(count)], stdout=subprocess.PIPE) as source:
        assert source.stdout
        return hashlib.file_digest(source.stdout, "sha256").digest()


def _digest_of_log(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
