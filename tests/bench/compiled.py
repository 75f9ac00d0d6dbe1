"""The C programs of the benchmarks, compiled once for each run of the command into its temporary directory."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
COMPILE_MAX_S = 60.0


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


def compiled(source: str, directory: Path) -> Path:
    """The executable made of `source` (relative to this package); compiled at its first use."""
    program = directory / Path(source).stem
    if not program.exists():
        argv = [compiler() or "cc", "-O2", "-Wall", "-o", str(program), str(HERE / source), "-lutil"]
        subprocess.run(argv, check=True, timeout=COMPILE_MAX_S)
    return program
