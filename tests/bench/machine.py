"""Where the numbers come from: cores, kernel, interpreter, and how busy others keep the machine."""

import os
import platform
import subprocess
import time
from pathlib import Path

from tests.bench import family

LOOK_S = 1.0
QUIET_LOOK_S = 0.25
QUIET_CPUS = 0.15


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "CPU part")):
            return line.partition(":")[2].strip()
    return platform.machine()


def file_system(path: Path) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=False, timeout=10)
    return done.stdout.strip() or "?"


def busy_others(over_s: float = LOOK_S) -> float:
    """CPUs that other users of the machine keep busy."""
    before = family.Cpu.now().others_s
    time.sleep(over_s)
    return max(0.0, family.Cpu.now().others_s - before) / over_s


def await_quiet(at_most_s: float) -> None:
    deadline_s = time.monotonic() + at_most_s
    while time.monotonic() < deadline_s and busy_others(QUIET_LOOK_S) > QUIET_CPUS:
        pass


def describe(work_dir: Path) -> dict[str, str | int | float]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu_model(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "files_on": file_system(work_dir),
        "busy_others": round(busy_others(), 2),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def line(machine: dict[str, str | int | float]) -> str:
    return (
        "{cores} cores ({cpu}), Linux {kernel}, Python {python}, files on {files_on}, "
        "others keep {busy_others} CPUs busy (load {load_1min})"
    ).format(**machine)
