"""A kill storm over the real data plane: `python -m tests.chaos.storm [--sessions 8] [--kills 500] [--seed N]`.

Programs that keep their own books write as fast as they can, or at a steady rate; workers, router and supervisor are
killed with SIGKILL at random moments, one or several at once; with `--keeper-kills N` the keeper is, too, so many
times: alone, together with router and supervisor, beside a stopped worker, and, half of the time, again before the
next one has taken over. Programs that end in the meantime with known codes are counted. Then the programs are told to
stop, and the books are compared: bytes written against bytes logged, as bytes; each exit status, reported exactly
once; no process, fd or file left.

A worker is never killed in the same moment as the keeper: that ends its program's terminal, and is another test.
"""

import argparse
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter

from childproc.spec import Io, ProgramSpec
from supervisor.keeper.messages import Exited, ProgramExited, Signal
from tests.chaos.books import EXIT_CODE, balance, build_source
from tests.support import leaks
from tests.support.fleet import RunningFleet, running_fleet
from tests.support.keeper import program, shell

_SOMETIMES = 0.5
_TAKE_OVER_S = 0.6
FORMS = ((Io.PTY, 0), (Io.PIPE, 0), (Io.PTY, 2000), (Io.PIPE, 500))  # and records a second, 0: as fast as it can
GENTLE = FORMS[2:]


class Storm:
    def __init__(
        self, fleet: RunningFleet, work_dir: str, sessions: int, seed: int, forms: tuple[tuple[Io, int], ...]
    ) -> None:
        self._forms = forms
        self._fleet = fleet
        self._dir = work_dir
        self._source = build_source(work_dir)
        self._random = random.Random(seed)
        self._sessions = [f"s{number}" for number in range(sessions)]
        self._mortals = 0
        self.kills: Counter[str] = Counter()

    def start(self) -> None:
        for number, session in enumerate(self._sessions):
            io, per_second = self._forms[number % len(self._forms)]
            self._fleet.start(session, self._program(session, io, per_second))

    def _program(self, session: str, io: Io, per_second: int) -> ProgramSpec:
        rate = [str(per_second)] if per_second else []
        return program(self._source, "write", f"{self._dir}/{session}.ledger", *rate, io=io)

    def rage(self, kills: int, longest_pause_s: float) -> None:
        while self.kills.total() < kills:
            self._pause(self._random.uniform(0, longest_pause_s))
            for victim in self._victims():
                self._kill(victim)

    def rage_at_keepers(self, kills: int, longest_pause_s: float) -> bool:
        """Whether each program that ended without a keeper was known to have ended as it did."""
        holds = True
        while self.kills["keeper"] < kills:
            self._pause(self._random.uniform(0, longest_pause_s))
            holds &= self._kill_keeper()
        return holds

    def _kill_keeper(self) -> bool:
        stopped = self._stop_a_worker() if self._random.random() < _SOMETIMES else 0
        mortal, code = self._start_a_mortal()
        others = [self._fleet.service_pid("router"), self._fleet.supervisor.pid]
        self._fleet.kill_keeper()
        if self._random.random() < _SOMETIMES:
            leaks.kill_all([pid for pid in others if pid])
        with open(f"{self._dir}/{mortal}.go", "w") as go:  # it ends now, with no keeper or with the next one
            go.write("\n")
        while self._random.random() < _SOMETIMES:
            self._fleet.keeper_that_dies(self._random.uniform(0, _TAKE_OVER_S))
            self.kills["keeper"] += 1
        self._fleet.next_keeper()
        self.kills["keeper"] += 1
        if stopped:
            os.kill(stopped, signal.SIGCONT)
        end = self._fleet.wait_end(mortal)
        if end.status != Exited(code):
            print(f"{mortal}: ended with {end.status}, not {code}")
        return end.status == Exited(code)

    def _stop_a_worker(self) -> int:
        pid = self._fleet.worker_pid(self._random.choice(self._sessions))
        if pid:
            os.kill(pid, signal.SIGSTOP)
            self.kills["stopped worker"] += 1
        return pid

    def _start_a_mortal(self) -> tuple[str, int]:
        """A program that reads a FIFO, and then ends with this code."""
        name, code = f"mortal{self._mortals}", self._random.randrange(256)
        self._mortals += 1
        os.mkfifo(f"{self._dir}/{name}.go")
        self._fleet.start(name, shell(f"echo begun; read line < {self._dir}/{name}.go; exit {code}"))
        self._fleet.wait_logged(name, len("begun\r\n"))
        return name, code

    def _pause(self, pause_s: float) -> None:
        """Until then, or until the keeper has something to say, which only means that time goes on."""
        select.select([], [], [], pause_s)

    def _victims(self) -> list[str]:
        match self._random.choices(("worker", "router", "supervisor", "all"), (60, 30, 6, 4))[0]:
            case "all":
                return ["worker", "worker", "router", "supervisor"]
            case one:
                return [one]

    def _kill(self, victim: str) -> None:
        match victim:
            case "worker":
                pid = self._fleet.worker_pid(self._random.choice(self._sessions))
            case "router":
                pid = self._fleet.service_pid("router")
            case _:
                pid = self._fleet.supervisor.pid
        if not pid:
            return  # between two lives
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # reaped since we asked
        self.kills[victim] += 1
        if victim == "supervisor":
            self._fleet.replace_supervisor()
            self._fleet.supervisor.hello()

    def settle(self) -> bool:
        """Stop every program and compare the books."""
        supervisor = self._fleet.supervisor
        for session in self._sessions:
            supervisor.ask(Signal, session, 1, signal.SIGTERM)
        holds = True
        for session in self._sessions:
            end = self._fleet.wait_end(session)
            if end.status != Exited(EXIT_CODE):
                print(f"{session}: ended with {end.status}, not {EXIT_CODE}")
                holds = False
        twice = [message for message in supervisor.unread if isinstance(message, ProgramExited)]
        if twice:
            print(f"reported more than once: {twice}")
        return self._compare() and holds and not twice

    def _compare(self) -> bool:
        holds = True
        for session in self._sessions:
            ledger = f"{self._dir}/{session}.ledger"
            with open(ledger) as file:
                self._fleet.wait_logged(session, int(file.read()) * 64)
            books = balance(self._source, ledger, self._fleet.log_dir, session)
            print(books)
            holds &= books.holds
        return holds


def run(
    sessions: int,
    kills: int,
    keeper_kills: int,
    seed: int,
    longest_pause_s: float,
    work_dir: str,
    forms: tuple[tuple[Io, int], ...] = FORMS,
) -> bool:
    shm_dir = f"{leaks.SHARED_MEMORY}/ringvisor-storm-{os.getpid()}"
    os.mkdir(shm_dir, 0o700)
    log_dir = f"{work_dir}/logs"
    os.mkdir(log_dir)
    try:
        with running_fleet(shm_dir, log_dir, steady_s=0.0) as fleet:
            storm = Storm(fleet, work_dir, sessions, seed, forms)
            storm.start()
            began_s = time.monotonic()
            storm.rage(kills, longest_pause_s)
            holds = storm.rage_at_keepers(keeper_kills, longest_pause_s)
            print(f"{dict(storm.kills)} kills in {time.monotonic() - began_s:.1f} s, seed {seed}")
            return storm.settle() and holds
    finally:
        shutil.rmtree(shm_dir)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm", description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--keeper-kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--pause", type=float, default=0.05, help="the longest pause between two kills, in seconds")
    wanted = parser.parse_args()
    leaks.become_subreaper()
    with tempfile.TemporaryDirectory(prefix="ringvisor-storm-") as work_dir:
        holds = run(wanted.sessions, wanted.kills, wanted.keeper_kills, wanted.seed, wanted.pause, work_dir)
    print("the books balance" if holds else f"THE BOOKS DO NOT BALANCE: again with --seed {wanted.seed}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
