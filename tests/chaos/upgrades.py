"""Upgrades under load, with the books balanced: `python -m tests.chaos.upgrades [--times 20] [--sessions 50]`.

A ringvisord of an installation of its own runs programs that write numbered records at a steady rate, on terminals and
on pipes, and one that writes back what somebody types all the time. Again and again another release is installed and
`ringctl upgrade` is called. After each one: the new release answers, every program has its pid, its epoch and no
restart, and no worker is the same. How long each log stood still meanwhile is measured from outside. In the end bytes
written are compared with bytes logged, as bytes, and lines typed with lines written back.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from supervisor.control.messages import Verb
from tests.chaos.books import balance, build_source
from tests.chaos.pauses import Pauses, percentile
from tests.chaos.typing_on import Typist
from tests.support import leaks
from tests.support.changes import wait_until
from tests.support.daemon import RunningDaemon, running_daemon
from tests.support.installed import Installed

_WRITES_PER_SECOND = 100
_RECORD_BYTES = 64
_LOGGED_MAX_S = 20.0
TYPED = "typed"


class Standing(NamedTuple):
    """What an upgrade must not change."""

    pid: int
    epoch: int
    restarts: int
    state: str


class Upgrades:
    def __init__(self, daemon: RunningDaemon, installed: Installed, sessions: list[str], source: str) -> None:
        self._daemon = daemon
        self._installed = installed
        self._sessions = sessions
        self._source = source
        self._pauses = Pauses([f"{self.log_dir}/{session}.log" for session in sessions])
        self._at_rest_s: list[float] = []
        self.pauses_s: list[float] = []
        self.wrong: list[str] = []

    @property
    def log_dir(self) -> str:
        return f"{self._daemon.directory}/logs"

    def run(self, times: int, quiet_s: float) -> None:
        for session in self._sessions:
            self._daemon.wait_state(session, "RUNNING")
            wait_until(self.log_dir, lambda s=session: os.path.exists(f"{self.log_dir}/{s}.log"), _LOGGED_MAX_S)
        typist = Typist(self._daemon.runtime_dir, TYPED)
        with self._pauses.looking(), typist.typing():
            time.sleep(quiet_s)
            self._at_rest_s = self._pauses.taken()
            for number in range(1, times + 1):
                self._upgrade(f"0.{number}.0", quiet_s)
        self._check_typed(typist)

    def _upgrade(self, release: str, quiet_s: float) -> None:
        before, workers = self._standing(), self._workers()
        self._installed.install(release)
        self._pauses.taken()
        done = self._installed.ringctl("-s", f"{self._daemon.runtime_dir}/control.sock", "upgrade", "--json")
        time.sleep(quiet_s)
        pauses_s = self._pauses.taken()
        self.pauses_s += pauses_s
        took_s = json.loads(done.stdout)["took_s"] if done.stdout else 0.0
        print(f"{release}: {took_s:.1f} s, output paused for {1000 * max(pauses_s):.0f} ms at most", flush=True)
        with self._daemon.client() as client:
            self._expect(client.welcome.release == release, f"{release}: {client.welcome.release} answers")
        self._expect(done.returncode == 0, f"{release}: {done.stderr}")
        self._expect(self._standing() == before, f"{release}: {before} became {self._standing()}")
        the_same = [name for name, pid in self._workers().items() if pid == workers[name]]
        self._expect(not the_same, f"{release}: the workers of {the_same} were not replaced")

    def _expect(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - a fact, not a switch
        if not holds:
            print(f"WRONG {otherwise}")
            self.wrong.append(otherwise)

    def _standing(self) -> dict[str, Standing]:
        sessions = self._daemon.status().sessions
        return {one.name: Standing(one.pid, one.epoch, one.restarts, one.state) for one in sessions}

    def _workers(self) -> dict[str, int]:
        return {one.name: one.worker_pid for one in self._daemon.status().sessions}

    def _check_typed(self, typist: Typist) -> None:
        path = f"{self.log_dir}/{TYPED}.log"
        wait_until(self.log_dir, lambda: os.stat(path).st_size >= len(typist.typed), _LOGGED_MAX_S)
        self._expect(Path(path).read_bytes() == typist.typed, f"{typist.lines} lines typed, others came back")
        print(f"{typist.lines} lines were typed and came back; the typist was told: {typist.said}")

    def settle(self) -> None:
        self._daemon.act(Verb.STOP, "all")
        for session in self._sessions:
            ledger = f"{self._daemon.directory}/{session}.ledger"
            expected = int(Path(ledger).read_text()) * _RECORD_BYTES
            path = f"{self.log_dir}/{session}.log"
            wait_until(self.log_dir, lambda p=path, size=expected: os.stat(p).st_size >= size, _LOGGED_MAX_S)
            books = balance(self._source, ledger, self.log_dir, session)
            self._expect(books.holds and not books.gap_bytes, str(books))

    def summary(self) -> str:
        return (
            f"output stood still in an upgrade, by session: p50 {_ms(self.pauses_s, 0.5)}, "
            f"p99 {_ms(self.pauses_s, 0.99)}, at most {_ms(self.pauses_s, 1)}; "
            f"without one: at most {_ms(self._at_rest_s, 1)}"
        )


def _ms(values: list[float], share: float) -> str:
    return f"{1000 * percentile(values, share):.0f} ms"


def fleet_file(directory: Path, source: str, sessions: int, bytes_per_second: int) -> tuple[str, list[str]]:
    records = max(1, bytes_per_second // _RECORD_BYTES // _WRITES_PER_SECOND)
    names = [f"s{number}" for number in range(sessions)]
    tables = [f'[session.{TYPED}]\nio = "pipe"\ncommand = ["cat"]\nstart_seconds = 0\n']
    for number, name in enumerate(names):
        command = [source, "write", f"{directory}/{name}.ledger", str(_WRITES_PER_SECOND), str(records)]
        io = "pipe" if number % 2 else "pty"
        tables.append(
            f'[session.{name}]\nio = "{io}"\ncommand = {json.dumps(command)}\nrestart = "never"\nstart_seconds = 0\n'
        )
    return "".join(tables), names


@contextmanager
def fleet(directory: Path, sessions: int, bytes_per_second: int) -> Iterator[Upgrades]:
    source = build_source(str(directory))
    installed = Installed(directory / "installed", "0.0.1")
    tables, names = fleet_file(directory, source, sessions, bytes_per_second)
    with running_daemon(directory, f"upgrades-{os.getpid()}", tables, ringvisord=installed.ringvisord) as daemon:
        yield Upgrades(daemon, installed, names, source)
        daemon.stop()


def run(directory: Path, times: int, sessions: int, bytes_per_second: int, quiet_s: float) -> list[str]:
    """What was wrong."""
    with fleet(directory, sessions, bytes_per_second) as upgrades:
        upgrades.run(times, quiet_s)
        upgrades.settle()
    print(upgrades.summary())
    return upgrades.wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.upgrades", description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rate", type=int, default=102_400, help="bytes a second, of each")
    parser.add_argument("--quiet", type=float, default=0.5, help="seconds between two")
    wanted = parser.parse_args()
    leaks.become_subreaper()
    with tempfile.TemporaryDirectory(prefix="ringvisor-upgrades-") as directory:
        wrong = run(Path(directory), wanted.times, wanted.sessions, wanted.rate, wanted.quiet)
    print(f"{len(wrong)} THINGS WERE WRONG" if wrong else "the books balance: no byte lost, no session restarted")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
