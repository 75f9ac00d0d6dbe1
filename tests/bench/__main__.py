"""python -m tests.bench [NAME...] [--runs N] [--json FILE]: run the benchmarks and print ratios."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tests.bench import family, machine, ours
from tests.bench.cases.attach import attach
from tests.bench.cases.captures import pipe, pty
from tests.bench.cases.control import control
from tests.bench.cases.crash import crash
from tests.bench.cases.flat import flat
from tests.bench.cases.fleet import fleet
from tests.bench.cases.idle import idle
from tests.bench.cases.ring import ring
from tests.bench.compiled import compiler
from tests.bench.options import Options
from tests.bench.table import Json

CASES: dict[str, Callable[[Options], Json]] = {
    "pty": pty,
    "pipe": pipe,
    "ring": ring,
    "fleet": fleet,
    "idle": idle,
    "flat": flat,
    "attach": attach,
    "control": control,
    "crash": crash,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}; all of them by default")
    parser.add_argument("--runs", type=int, default=5, help="interleaved runs of each cell (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every single run, for machines")
    parser.add_argument("--scale", type=float, default=1.0, help="of the amounts of data and time (1)")
    parser.add_argument("--sessions", type=int, help="of fleet (200), attach (100), idle and control (1000)")
    parser.add_argument("--bytes", type=float, default=10e9, help="of flat (10e9)")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="contestants whose name has TEXT")
    parser.add_argument(
        "--quiet", type=float, default=0.0, metavar="S", help="wait up to S before a run for a quiet machine"
    )
    parser.add_argument("--dir", type=Path, help="where the captured files go (the temporary directory)")
    found = parser.parse_args()
    if unknown := set(found.names) - set(CASES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    return found


def ended(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def run(found: argparse.Namespace, work_dir: Path) -> Json:
    options = Options(
        found.runs, found.scale, found.sessions, int(found.bytes), tuple(found.only), found.quiet, work_dir
    )
    described = machine.describe(work_dir)
    print(machine.line(described))
    print(f"medians of {options.runs} interleaved runs; ratios are of medians")
    if ours.fleet() is None or ours.transport() is None:
        print(f"{ours.NAME}: not plugged in everywhere (tests/bench/ours.py)")
    report: Json = {"machine": described, "runs": options.runs, "scale": options.scale, "cases": {}}
    for name in found.names or CASES:
        start_s = time.monotonic()
        report["cases"][name] = CASES[name](options)
        print(f"  ({name} took {time.monotonic() - start_s:.0f} s)")
    return report


def main() -> int:
    found = arguments()
    if not compiler():
        print("the producers are written in C: apt install gcc libc6-dev")
        return 2
    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGHUP, ended)
    family.adopt_orphans()
    work_dir = Path(tempfile.mkdtemp(prefix="ringvisor-bench-", dir=found.dir))
    try:
        report = run(found, work_dir)
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    finally:
        family.sweep()
        shutil.rmtree(work_dir, ignore_errors=True)
    if found.json:
        found.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
