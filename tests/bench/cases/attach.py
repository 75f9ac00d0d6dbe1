"""`attach`: from a keystroke in an attached terminal to its echo, while all sessions are silent and while each of them
writes 50 KB/s. The program echoes by itself (`cat` on a raw terminal), so each key goes all the way there and back."""

import fcntl
import os
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import family, gate
from tests.bench.compiled import compiled
from tests.bench.fleet import Fleet, Io, Job
from tests.bench.installed import environment, tool
from tests.bench.options import Options
from tests.bench.our_fleet import OurFleet
from tests.bench.peers.tmux import TMUX
from tests.bench.producer import Production, Shape
from tests.bench.rounds import interleaved, median, percentile, present
from tests.bench.table import Json, print_table

SESSIONS = 100
LINES_PER_S = 50
KEYS = 400
PAUSE_S = (0.005, 0.025)
PATIENCE_S = 30.0
SETTLE_S = 2.0
MARKS = b"@#&{}|"  # in no sequence that a terminal is sent
HEADS = ("who", "when", "p50 ms", "p99 ms", "max ms", "version")


@dataclass(frozen=True, slots=True)
class Echoes:
    idle_ms: Sequence[float]
    busy_ms: Sequence[float]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A tool, and the command that attaches a terminal to the first of its jobs."""

    fleet: Fleet
    attach: Callable[[Path, Job], list[str]]

    @property
    def name(self) -> str:
        return self.fleet.name.partition(" ")[0]

    def missing(self) -> str | None:
        return self.fleet.missing()


def attach(options: Options) -> Json:
    sessions = options.sessions or SESSIONS
    able = present([_ours(), Contestant(TMUX, _tmux)], options.wants)
    title = f"attach: keystroke to echo, {sessions} other sessions, idle or each writing {LINES_PER_S} KB/s"
    results = interleaved(title, able, options.runs, options.quiet_s, lambda one: _measure(one, sessions, options))
    versions = {one.name: one.fleet.version() for one in able}
    rows = [
        _row(name, when, [getattr(echoes, f"{when}_ms") for echoes in found], versions[name])
        for name, found in results.items()
        for when in ("idle", "busy")
    ]
    print_table(title, HEADS, rows)
    return {title: {name: [asdict(one) for one in found] for name, found in results.items()}}


def _row(who: str, when: str, runs: Sequence[Sequence[float]], version: str) -> list[str | float | int]:
    return [
        who,
        when,
        median(percentile(run, 0.5) for run in runs),
        median(percentile(run, 0.99) for run in runs),
        max(max(run) for run in runs),
        version,
    ]


def _ours() -> Contestant:
    mine = OurFleet()

    def argv(_: Path, job: Job) -> list[str]:
        socket = f"{mine._shm_dir}/run/control.sock"
        return [sys.executable, "-m", "supervisor.cli.main", "-s", socket, "attach", job.name]

    return Contestant(mine, argv)


def _tmux(directory: Path, _: Job) -> list[str]:
    tmux = [str(tool("tmux")), "-u", "-S", str(directory / "tmux.sock")]
    subprocess.run([*tmux, "set", "-g", "status", "off"], check=True, env=environment())
    return [*tmux, "attach", "-t", ":0"]


def _measure(one: Contestant, sessions: int, options: Options) -> Echoes:
    directory = Path(tempfile.mkdtemp(prefix="attach-", dir=options.work_dir))
    keys = max(20, int(KEYS * options.scale))
    busy_s = SETTLE_S + keys * 0.1
    production = Production(Shape.STAMPS, int(LINES_PER_S * busy_s), terminal=True, per_second=LINES_PER_S)
    program = compiled("produce.c", options.work_dir)
    gates = [gate.Gate.made(directory, f"s{n}") for n in range(sessions)]
    echo = Job("echo", ("/bin/sh", "-c", "stty raw -echo; exec cat"), directory / "echo.log", Io.PTY)
    writers = [
        Job(f"s{n}", production.argv(program, each.path, each.stamp_path), directory / f"s{n}.log", Io.PTY)
        for n, each in enumerate(gates)
    ]
    try:
        one.fleet.start([echo, *writers], directory)
        gate.wait_for_producers(gates, PATIENCE_S)
        return _echoes(one.attach(directory, echo), gates, keys)
    finally:
        gate.open_all(gates)
        one.fleet.stop()
        family.sweep()
        shutil.rmtree(directory, ignore_errors=True)


def _echoes(argv: Sequence[str], gates: Sequence[gate.Gate], keys: int) -> Echoes:
    master, pid = _terminal(argv)
    try:
        _echo_ms(master, b"@")
        _drain(master, SETTLE_S)
        idle_ms = _typed(master, keys)
        gate.open_all(gates)
        _drain(master, SETTLE_S)
        return Echoes(idle_ms, _typed(master, keys))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)


def _typed(master: int, keys: int) -> list[float]:
    found = []
    for number in range(keys):
        _drain(master, random.uniform(*PAUSE_S))
        found.append(_echo_ms(master, MARKS[number % len(MARKS)].to_bytes()))
    return found


def _echo_ms(master: int, key: bytes) -> float:
    began_s = time.perf_counter()
    os.write(master, key)
    while select.select([master], [], [], PATIENCE_S)[0]:
        data = os.read(master, 65536)
        if key in data:
            return (time.perf_counter() - began_s) * 1000
    raise TimeoutError(f"no echo within {PATIENCE_S:.0f} s")


def _drain(master: int, seconds: float) -> None:
    until_s = time.perf_counter() + seconds
    while (left_s := until_s - time.perf_counter()) > 0:
        if select.select([master], [], [], left_s)[0]:
            os.read(master, 65536)


def _terminal(argv: Sequence[str]) -> tuple[int, int]:
    """A terminal of its own for this command: master and pid."""
    pid, master = os.forkpty()
    if pid == 0:
        os.execve(argv[0], list(argv), {**environment(), "TERM": "xterm-256color"})
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", 50, 200, 0, 0))
    return master, pid
