"""The faults, each in a method called after its kind. It says what it did, or nothing where it could not be done now.

What lasts for a while is healed later, or at once where the next fault asks for that: a worker may not be dead in the
moment in which the keeper dies, for that is the end of its program's terminal, as of any terminal, and no fault of
ours. That also goes for a keeper that is stopped, has no fds or cannot fork: it would not come to replace the worker.
"""

import contextlib
import heapq
import itertools
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from childproc.identity import Identity
from supervisor.control.client import NobodyAnswersError, RequestFailedError
from supervisor.control.messages import AwaitEnd, Ended, Explain, Facts, Outcome, RunProgram, Verb
from tests.chaos.weather_books import Books
from tests.chaos.weather_disks import Disk, ProcessLimit
from tests.chaos.weather_fleet import PATIENCE_S, Fleet, Weather, is_alive, looks, send

KINDS = {
    "kill_worker": 24,
    "kill_router": 10,
    "kill_supervisor": 8,
    "kill_several": 6,
    "kill_keeper": 6,
    "stop_worker": 9,
    "stop_router": 6,
    "stop_supervisor": 5,
    "stop_keeper": 4,
    "full_log_disk": 4,
    "full_shared_memory": 2,
    "no_fds": 6,
    "no_forks": 4,
    "damaged_journal": 3,
    "damaged_fleet": 1,
    "damaged_ring": 2,
}
_LONGEST_S = 2.0
_TAKE_OVER_S = 0.6


class Disks(NamedTuple):
    logs: Disk | None
    shm: Disk | None
    processes: ProcessLimit | None


class Faults:
    def __init__(self, fleet: Fleet, books: Books, disks: Disks, chance: random.Random) -> None:
        self._fleet = fleet
        self._books = books
        self._disks = disks
        self._chance = chance
        self._numbers = itertools.count(1)
        self._order = itertools.count()
        self._heals: list[tuple[float, int, str, Callable[[], None]]] = []

    def strike(self, kind: str) -> str | None:
        found: str | None = getattr(self, kind)()
        return found

    # --- healing ---

    def _later(self, about: str, heal: Callable[[], None]) -> str:
        lasts_s = self._chance.uniform(0.05, _LONGEST_S)
        heapq.heappush(self._heals, (time.monotonic() + lasts_s, next(self._order), about, heal))
        return f"for {lasts_s:.1f} s"

    def heal(self, *, everything: bool = False, about: str = "") -> None:
        """What is due, or all, or all about somebody."""
        now_s = time.monotonic()
        left = []
        for one in sorted(self._heals):
            if everything or one[0] <= now_s or (about and one[2] == about):
                one[3]()
            else:
                left.append(one)
        self._heals = left

    def _heal_keeper(self) -> None:
        """It is able to act, and has replaced every worker."""
        self.heal(about="keeper")
        for _ in looks():
            lacking = self._without_worker()
            if not lacking:
                return
        raise Weather(f"no worker within {PATIENCE_S:g} s: {lacking}")

    def _without_worker(self) -> list[str]:
        return [session for session in self._fleet.steady if not self._fleet.worker(session)]

    # --- killed ---

    def _any_worker(self) -> tuple[str, Identity | None]:
        session = self._chance.choice([*self._fleet.steady, *self._fleet.exiters])
        return session, self._fleet.worker(session)

    def kill_worker(self) -> str | None:
        victims = [self._any_worker() for _ in range(self._chance.choice((1, 1, 2, 5)))]
        killed = [session for session, worker in victims if send(worker, signal.SIGKILL)]
        return " ".join(killed) or None

    def kill_router(self) -> str | None:
        return self._kill_service("router")

    def kill_supervisor(self) -> str | None:
        return self._kill_service("supervisor")

    def _kill_service(self, name: str) -> str | None:
        return name if send(self._fleet.service(name), signal.SIGKILL) else None

    def kill_several(self) -> str | None:
        done = [self._kill_service("supervisor"), self.kill_worker(), self._kill_service("router"), self.kill_worker()]
        return ", ".join(one for one in done if one) or None

    def kill_keeper(self) -> str:
        self._heal_keeper()
        self.heal(about="processes")
        others = self._chance.sample(("router", "supervisor"), self._chance.randrange(3))
        victims = [self._fleet.service(name) for name in others]
        self._fleet.kill_keeper()
        said = "".join(f" {name}" for name, one in zip(others, victims, strict=True) if send(one, signal.SIGKILL))
        again = 0
        while self._chance.random() < 0.4:
            self._fleet.daemon.process = self._fleet.daemon.launch()
            time.sleep(self._chance.uniform(0, _TAKE_OVER_S))
            self._fleet.kill_keeper()
            again += 1
        time.sleep(self._chance.uniform(0, _TAKE_OVER_S))
        self._fleet.daemon.process = self._fleet.daemon.launch()
        self._wait_for_answer()
        return f"keeper{said}" + (f", and {again} that came" if again else "")

    def _wait_for_answer(self) -> None:
        """The next keeper has taken hold of everything."""
        for _ in looks():
            if self._fleet.daemon.process.poll() is not None:
                raise Weather(f"ringvisord ended with {self._fleet.daemon.process.returncode}")
            if self._fleet.statuses() is not None:
                return
        raise Weather(f"no ringvisord answers within {PATIENCE_S:g} s")

    # --- stopped ---

    def stop_worker(self) -> str | None:
        session, worker = self._any_worker()
        return self._stop(session, worker, "worker")

    def stop_router(self) -> str | None:
        return self._stop("router", self._fleet.service("router"), "router")

    def stop_supervisor(self) -> str | None:
        return self._stop("supervisor", self._fleet.service("supervisor"), "supervisor")

    def stop_keeper(self) -> str | None:
        self._heal_keeper()
        return self._stop("keeper", self._fleet.keeper, "keeper")

    def _stop(self, name: str, process: Identity | None, about: str) -> str | None:
        if not send(process, signal.SIGSTOP):
            return None
        return f"{name} {self._later(about, lambda: _go_on(process))}"

    # --- nothing left ---

    def full_log_disk(self) -> str | None:
        return self._fill(self._disks.logs, "logs")

    def no_forks(self) -> str | None:
        if self._disks.processes:
            self._heal_keeper()
        return self._fill(self._disks.processes, "keeper")

    def _fill(self, what: Disk | ProcessLimit | None, about: str) -> str | None:
        if what is None:
            return None
        what.fill()
        return self._later(about, what.heal)

    def no_fds(self) -> str | None:
        name = self._chance.choice(("router", "supervisor", "keeper"))
        if name == "keeper":
            self._heal_keeper()
        process = self._fleet.keeper if name == "keeper" else self._fleet.service(name)
        if process is None:
            return None
        try:
            most = max(map(int, os.listdir(f"/proc/{process.pid}/fd")))
            soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most + 1, hard))
        except (OSError, ValueError):
            return None
        return f"{name} {self._later(name, lambda: _give_fds(process, (soft, hard)))}"

    def full_shared_memory(self) -> str | None:
        """A session that starts now is told why it cannot; with room, it can."""
        if self._disks.shm is None:
            return None
        self.heal(everything=True)
        number = next(self._numbers)
        self._disks.shm.fill()
        try:
            refused = self._run(f"early-{number}", ["sh", "-c", "exit 3"])
        finally:
            self._disks.shm.heal()
        if refused.ok:
            return None  # another ring has shrunk meanwhile
        if not any(word in refused.result for word in ("memory", "space", "room", "shm")):
            raise Weather(f"early-{number}: with a full tmpfs it was said: {refused}")
        late = self._run(f"late-{number}", ["sh", "-c", "exit 3"])
        if not late.ok or (end := self._end(f"late-{number}")) != {"reason": "exited", "code": 3}:
            raise Weather(f"late-{number}: with room again: {late}, {end}")
        return refused.result

    def _run(self, name: str, command: list[str]) -> Outcome:
        for _ in looks():
            with contextlib.suppress(NobodyAnswersError):
                request = RunProgram(1, command, str(self._fleet.directory), {}, name, pipe=True)
                return next(one for one in self._fleet.daemon.stream(request) if isinstance(one, Outcome))
        raise Weather(f"{name}: nobody runs it")

    def _end(self, name: str) -> object:
        for _ in looks():
            with contextlib.suppress(NobodyAnswersError):
                return next(one.exit for one in self._fleet.daemon.stream(AwaitEnd(1, name)) if isinstance(one, Ended))
        raise Weather(f"{name}: nobody says how it ended")

    # --- damaged ---

    def damaged_journal(self) -> str | None:
        """Of a supervisor that stands still meanwhile, and is killed then."""
        supervisor = self._fleet.service("supervisor")
        if not send(supervisor, signal.SIGSTOP):
            return None
        self._books.read_journal()
        how = _damage(f"{self._fleet.directory}/state/journal", self._chance)
        self._books.journal_damaged()
        send(supervisor, signal.SIGKILL)
        return how

    def damaged_fleet(self) -> str | None:
        how = _damage(f"{self._fleet.runtime_dir}/fleet.applied", self._chance)
        return how if self._kill_service("supervisor") else None

    def damaged_ring(self) -> str:
        """A session of its own: its next worker refuses the ring, and says so; it can be stopped; nobody else cares."""
        self.heal(everything=True)
        self._heal_keeper()
        name = f"victim-{next(self._numbers)}"
        started = self._run(name, [self._fleet.source, "write", self._fleet.ledger(name), "50"])
        if not started.ok:
            raise Weather(f"{name}: {started}")
        for _ in looks():
            if worker := self._fleet.worker(name):
                break
        offset = self._chance.choice((0, 0, 8, 16, 24))
        with open(f"{self._fleet.ring_dir}/{name}.ring", "r+b") as ring:
            ring.seek(offset)
            ring.write(self._chance.randbytes(8))
        send(worker, signal.SIGKILL)
        words = self._wait_for_refusal(name)
        self._stop_victim(name)
        return f"{name}, header byte {offset}: {words}"

    def _wait_for_refusal(self, name: str) -> str:
        said: object = None
        for _ in looks():
            with contextlib.suppress(NobodyAnswersError, RequestFailedError), self._fleet.daemon.client() as client:
                said = client.ask(Explain(1, name), timeout_s=5.0)
                if isinstance(said, Facts) and "its ring could not be used" in repr(said.facts):
                    return "its ring could not be used"
        raise Weather(f"{name}: a damaged ring is not told: {said}")

    def _stop_victim(self, name: str) -> None:
        for _ in looks():
            with contextlib.suppress(NobodyAnswersError, RequestFailedError):
                self._fleet.daemon.act(Verb.STOP, name)
            found = self._fleet.statuses()
            if found is not None and name not in found:
                return
        raise Weather(f"{name}: with a damaged ring it cannot be stopped")


def _go_on(process: Identity | None) -> None:
    send(process, signal.SIGCONT)


def _give_fds(process: Identity, limits: tuple[int, int]) -> None:
    if is_alive(process):
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)


def _damage(path: str, chance: random.Random) -> str:
    size = os.stat(path).st_size
    with open(path, "r+b") as file:
        match chance.choice(("bytes", "cut", "rubbish")):
            case "cut":
                file.truncate(at := chance.randrange(size))
                return f"cut at byte {at} of {size}"
            case "bytes":
                for at in sorted(chance.sample(range(size), min(size, 20))):
                    file.seek(at)
                    file.write(chance.randbytes(1))
                return f"20 of {size} bytes"
            case _:
                file.write(chance.randbytes(size))
                return f"all {size} bytes"
