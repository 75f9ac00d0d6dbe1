"""The fleet that stands in the weather: the real ringvisord, its processes by name, and the programs that keep books.

write-N   writes numbered records until it is told to stop         pty and pipes, slow and fast, rotated logs
echo-N    writes back what is typed into it
exit-N    lives for a while, notes its epoch, exits with a code that follows from it; restarted for ever
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from childproc.identity import Identity, identify
from childproc.worker_record import keeper_path, read_record
from supervisor.control.client import NobodyAnswersError, RequestFailedError
from supervisor.control.messages import SessionStatus
from supervisor.keeper.records import KeeperRecord
from tests.chaos.books import build_source
from tests.chaos.weather_disks import ProcessLimit
from tests.support import leaks
from tests.support.daemon import RunningDaemon

PATIENCE_S = 40.0
LOOK_EVERY_S = 0.02
LONGEST_LIFE_MS = 3000
RATES = (20, 200, 60, 1500)
_EXIT_RESTART = '{ policy = "always", delay = "0.02", jitter = 0.0, factor = 1.0, max = 1000000, within = "1s" }'

_TABLE = """
[session.{name}]
command = {command}
io = "{io}"
start_seconds = 0
stop = {{ timeout = "30s" }}
restart = {restart}
log = {log}
"""


class Weather(Exception):  # noqa: N818 - what it brought to light
    """Something that must not be. The message has the facts."""


class Fleet:
    def __init__(self, directory: Path, sessions: int, limit: ProcessLimit | None, *, own_shm: bool) -> None:
        self.directory = directory
        self.source = build_source(str(directory))
        self.writers = [f"write-{number}" for number in range(max(1, sessions * 2 // 5))]
        self.echoes = [f"echo-{number}" for number in range(max(1, sessions * 3 // 10))]
        self.exiters = [f"exit-{number}" for number in range(max(1, sessions - len(self.writers) - len(self.echoes)))]
        shm = f'ring_dir = "{directory}/shm"\n' if own_shm else ""
        self.name = f"weather-{os.getpid()}"
        self.daemon = RunningDaemon(directory, self.name, shm + self._tables(), limit.wrapper if limit else ())
        shm_dir = f"{directory}/shm" if own_shm else leaks.SHARED_MEMORY
        self.ring_dir = f"{shm_dir}/ringvisor-{os.geteuid()}-{self.name}"
        self.log_dir = f"{directory}/logs"
        self.runtime_dir = self.daemon.runtime_dir

    def _tables(self) -> str:
        tables = []
        for number, name in enumerate(self.writers):
            rate = RATES[number % len(RATES)]
            log = '{ max_size = "200K", keep = 10000 }' if number % 3 == 2 else "{}"
            tables.append(self._table(name, number, ["write", self.ledger(name), str(rate)], log))
        for number, name in enumerate(self.echoes):
            tables.append(self._table(name, number, ["echo", self.ledger(name)]))
        for number, name in enumerate(self.exiters):
            words = ["exit", self.ledger(name), str(number), str(LONGEST_LIFE_MS)]
            tables.append(self._table(name, number, words, restart=_EXIT_RESTART))
        return "".join(tables)

    def _table(self, name: str, number: int, words: list[str], log: str = "{}", restart: str = '"never"') -> str:
        command = msgspec.json.encode([self.source, *words]).decode()
        return _TABLE.format(name=name, command=command, io=("pty", "pipe")[number % 2], restart=restart, log=log)

    def ledger(self, session: str) -> str:
        return f"{self.directory}/{session}.ledger"

    @property
    def steady(self) -> list[str]:
        """Those whose programs live until they are stopped."""
        return [*self.writers, *self.echoes]

    # --- processes: from the records on disk, which need no supervisor ---

    def service(self, name: str) -> Identity | None:
        with contextlib.suppress(OSError, msgspec.MsgspecError), open(keeper_path(self.runtime_dir), "rb") as file:
            record = msgspec.json.decode(file.read(), type=KeeperRecord)
            return _if_alive(record.services.get(name))
        return None

    def worker(self, session: str) -> Identity | None:
        record = read_record(self.runtime_dir, session)
        return _if_alive(record.process) if record else None

    @property
    def keeper(self) -> Identity | None:
        return None if self.daemon.process.poll() is not None else identify(self.daemon.process.pid)

    def kill_keeper(self) -> None:
        self.daemon.process.kill()
        self.daemon.process.wait()

    def reap_orphans(self) -> None:
        """As init would: what the killed keeper had forked is ours now."""
        for pid in leaks.children_of(os.getpid()):
            if pid != self.daemon.process.pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    # --- what ringvisord says ---

    def statuses(self) -> dict[str, SessionStatus] | None:
        """None: nobody answers just now."""
        with contextlib.suppress(NobodyAnswersError, RequestFailedError):
            return {one.name: one for one in self.daemon.status().sessions}
        return None

    def said(self) -> str:
        logs = sorted(Path(self.log_dir).glob("ringvisord.log*"))
        return "".join(path.read_text(errors="replace") for path in [*logs, self.directory / "out"])


def _if_alive(process: Identity | None) -> Identity | None:
    return process if process and is_alive(process) else None


def is_alive(process: Identity) -> bool:
    """A zombie is not."""
    try:
        with open(f"/proc/{process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in "ZX" and int(fields[19]) == process.start_ticks


def send(process: Identity | None, signum: signal.Signals) -> bool:
    """Whether there was somebody to get it."""
    if process is None or not is_alive(process):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signum)
        return True
    return False


def looks(patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Look again and again; ends when patience does."""
    until_s = time.monotonic() + patience_s
    while time.monotonic() < until_s:
        yield
        time.sleep(LOOK_EVERY_S)
