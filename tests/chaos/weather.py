"""Hostile weather: `python -m tests.chaos.weather [--sessions 50] [--faults 1000] [--seed N] [--seconds S] [--only K]`.

The real ringvisord with sessions that keep books, and faults at random: any of our processes killed or stopped, several
at once, the keeper among them; disks, shared memory, fds and the table of processes that are full for a while; a
journal, a fleet record, a ring header that is damaged. After every few faults all is healed, and everybody has to be
there as before; in the end the books are balanced: bytes out, bytes in, exit codes, restarts, sessions alive, fds,
processes, shared memory. It stops at the first discrepancy, and says it with the seed.

Left out: the OOM killer, which is a SIGKILL and so among the others; clock jumps, which take a machine of their own
(only CLOCK_MONOTONIC decides); what cannot be done without root where there is none.
"""

import argparse
import contextlib
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from supervisor.control.messages import SessionStatus, Verb
from tests.chaos.weather_books import GREETING_BYTES, Books
from tests.chaos.weather_disks import disk, process_limit
from tests.chaos.weather_faults import KINDS, Disks, Faults
from tests.chaos.weather_fleet import PATIENCE_S, Fleet, Weather, looks
from tests.chaos.weather_typist import Line, Typist
from tests.support import leaks

_LOG_DISK_BYTES = 4 << 30
_SHM_BYTES = 1 << 30
_CALM_EVERY = 20
_TYPES_EVERY_S = 0.1


class Storm:
    def __init__(self, fleet: Fleet, disks: Disks, chance: random.Random) -> None:
        self._fleet = fleet
        self._chance = chance
        self._books = Books(fleet)
        self._faults = Faults(fleet, self._books, disks, chance)
        self._began: dict[str, tuple[int, int]] = {}  # pid and epoch of those that live on
        self.done: Counter[str] = Counter()
        statuses = self._calm()
        self._began = {name: (statuses[name].pid, statuses[name].epoch) for name in fleet.steady}
        self._wait_for_greetings()
        self._typist = Typist(fleet.runtime_dir, fleet.echoes, _TYPES_EVERY_S)

    def _wait_for_greetings(self) -> None:
        """Only then is a terminal in its raw mode."""
        for _ in looks():
            if all(self._books.report(name).count for name in self._fleet.echoes):
                return
        raise Weather("a program does not greet")

    def rage(self, faults: int, seconds: float, only: str) -> None:
        kinds = {only: 1} if only else KINDS
        began_s = time.monotonic()
        tried = 0
        while self.done.total() < faults and tried < 20 * faults:
            tried += 1
            (kind,) = self._chance.choices(list(kinds), list(kinds.values()))
            self._books.read_journal()
            self._fleet.reap_orphans()
            if what := self._faults.strike(kind):
                self.done[kind] += 1
                print(f"{time.monotonic() - began_s:7.1f} s  {self.done.total():4} {kind}: {what}", flush=True)
                if self.done.total() % _CALM_EVERY == 0:
                    self._calm()
            self._pass_time(seconds / faults)

    def _pass_time(self, mean_s: float) -> None:
        until_s = time.monotonic() + self._chance.uniform(0, 2 * mean_s)
        while (left_s := until_s - time.monotonic()) > 0:
            self._faults.heal()
            select.select([], [], [], min(0.05, left_s))

    def _calm(self) -> dict[str, SessionStatus]:
        """All is healed: all are there again, the same as ever. Gives how they stand."""
        self._faults.heal(everything=True)
        wrong: list[str] = ["nobody answers"]
        for _ in looks():
            self._fleet.reap_orphans()
            self._books.read_journal()
            statuses = self._fleet.statuses()
            if statuses is None:
                continue
            wrong = self._absent(statuses) or self._books.count_restarts(statuses)
            if not wrong:
                return statuses
        raise Weather(f"not well after {PATIENCE_S:g} s of calm: {wrong}")

    def _absent(self, statuses: dict[str, SessionStatus]) -> list[str]:
        found = []
        for name in self._fleet.steady:
            one = statuses[name]
            if one.state != "RUNNING" or self._began.get(name, (one.pid, one.epoch)) != (one.pid, one.epoch):
                found.append(f"{name}: {one.state} {one.description}, exit {one.exit}, was {self._began.get(name)}")
            elif not self._fleet.worker(name):
                found.append(f"{name}: no worker")
        found += [
            f"{name}: {statuses[name].state} {statuses[name].description}"
            for name in self._fleet.exiters
            if statuses[name].state in ("FATAL", "STOPPED", "UNKNOWN")
        ]
        if not self._fleet.service("router"):
            found.append("no router")
        return found

    # --- the balance ---

    def settle(self) -> list[str]:
        """What does not balance."""
        self._calm()
        self._typist.rest()
        wrong = self._wait_for_echoes()
        wrong += self._count_fds()
        stopped = self._stop_all()
        wrong += self._books.settle_ends(stopped)
        wrong += self._books.settle_steady_ends(stopped)
        wrong += self._settle_bytes()
        self._typist.stop()
        return wrong + self._end()

    def close(self) -> None:
        self._typist.stop()

    def _wait_for_echoes(self) -> list[str]:
        """All that went in has come out."""
        late: list[str] = []
        for _ in looks():
            late = [words for line in self._typist.lines if (words := self._lateness(line))]
            if not late:
                break
        return late

    def _lateness(self, line: Line) -> str:
        report = self._books.report(line.session)
        came = report.count - GREETING_BYTES
        if line.is_idle and (came >= line.least_bytes or report.gaps):
            return ""
        return f"{line.session}: of {line.least_bytes} bytes that went in, {came} came back"

    def _count_fds(self) -> list[str]:
        """A leak for each fault, or each epoch, would be far above this."""
        sessions = len(self._fleet.steady) + len(self._fleet.exiters)
        wrong = []
        for name in ("keeper", "supervisor", "router"):
            process = self._fleet.keeper if name == "keeper" else self._fleet.service(name)
            count = len(os.listdir(f"/proc/{process.pid}/fd")) if process else -1
            print(f"{name} has {count} fds")
            if not 0 < count <= 60 + 8 * sessions:
                wrong.append(f"{name} has {count} fds for {sessions} sessions")
        return wrong

    def _stop_all(self) -> dict[str, SessionStatus]:
        self._fleet.daemon.act(Verb.STOP, "all")
        for _ in looks():
            statuses = self._fleet.statuses()
            if statuses and all(one.state == "STOPPED" for one in statuses.values()):
                return statuses
        raise Weather(f"not stopped: {self._fleet.statuses()}")

    def _settle_bytes(self) -> list[str]:
        wrong: list[str] = []
        totals: Counter[str] = Counter()
        for name in self._fleet.writers:
            written, gaps, problems = self._books.settle_writer(name)
            totals.update({"bytes out": written, "in stated gaps": gaps})
            wrong += problems
        for line in self._typist.lines:
            read, gaps, problems = self._books.settle_echo(line)
            totals.update({"bytes in": read, "in stated gaps": gaps})
            totals.update({"records in doubt": len(line.in_doubt)})
            wrong += problems
        print(f"balance: {dict(totals)}, ends {self._books.how_ended()}")
        return wrong

    def _end(self) -> list[str]:
        code = self._fleet.daemon.stop()
        wrong = [f"ringvisord ended with {code}"] if code else []
        for _ in looks(10.0):
            self._fleet.reap_orphans()
            if not leaks.children_of(os.getpid()):
                break
        left = leaks.children_of(os.getpid())
        wrong += [f"process {pid} is left: {_command_of(pid)}" for pid in left]
        if os.path.exists(self._fleet.ring_dir):
            wrong.append(f"shared memory is left: {os.listdir(self._fleet.ring_dir)}")
        for place in ("w", "records"):
            if names := os.listdir(f"{self._fleet.runtime_dir}/{place}"):
                wrong.append(f"{place}/ is not empty: {names[:5]}")
        return wrong


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return "gone"


def run(directory: Path, *, sessions: int, faults: int, seconds: float, seed: int, only: str = "") -> bool:
    began_s = time.monotonic()
    with (
        disk(directory / "logs", _LOG_DISK_BYTES) as logs,
        disk(directory / "shm", _SHM_BYTES) as shm,
        process_limit(f"ringvisor-weather-{os.getpid()}") as processes,
        contextlib.ExitStack() as stack,
    ):
        fleet = Fleet(directory, sessions, processes, own_shm=shm is not None)
        stack.callback(_clear, fleet)
        wrong = []
        try:
            storm = Storm(fleet, Disks(logs, shm, processes), random.Random(seed))
            stack.callback(storm.close)
            storm.rage(faults, seconds, only)
            print(f"{storm.done.total()} faults in {time.monotonic() - began_s:.0f} s: {dict(storm.done)}")
            wrong = storm.settle()
        except (Weather, OSError) as error:
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            print("\n".join(wrong))
            print("--- the end of what ringvisord said\n" + fleet.said()[-6000:])
    verdict = f"{len(wrong)} DISCREPANCIES: again with --seed {seed}" if wrong else "the books balance"
    print(f"{verdict}; {time.monotonic() - began_s:.0f} s, seed {seed}")
    return not wrong


def _clear(fleet: Fleet) -> None:
    fleet.daemon.close()
    leaks.remove_shared(f"ringvisor-{os.geteuid()}-{fleet.name}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.weather", description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=0.0, help="for the faults; else 0.4 s for each")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", choices=KINDS, default="", metavar="KIND", help=" ".join(KINDS))
    wanted = parser.parse_args()
    leaks.become_subreaper()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="ringvisor-weather-") as directory:
        holds = run(
            Path(directory),
            sessions=wanted.sessions,
            faults=wanted.faults,
            seconds=wanted.seconds or 0.4 * wanted.faults,
            seed=wanted.seed,
            only=wanted.only,
        )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
