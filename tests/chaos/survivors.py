"""Who survives what: `python -m tests.chaos.survivors`. A table of ringvisor and its peers after kill -9.

Each tool runs three programs. Then its main process, or one of its helpers, is killed with SIGKILL; what is not there
again by itself is started again as its operator would. Looked at is:

    alive      of the programs that ran, so many run on, and once
    output     every byte that the writer wrote, before, meanwhile and after, is in the tool's log
    status     a program that exited with 7 meanwhile: the tool says 7 when it is asked afterwards
    restart    a program that exits after all that is started again, once

The first line of each tool kills nobody: it says what the tool does at all. Peers are looked for as benchmarks do it
(tests/bench/README.md); those that are missing are named with the command that installs them.
"""

import contextlib
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import family
from tests.bench.installed import answer, environment, pip_install, tool
from tests.chaos.books import RECORD_BYTES, build_source
from tests.support import leaks
from tests.support.daemon import RunningDaemon

_LOOK_S = 0.05
_UP_MAX_S = 15.0
_RESTART_MAX_S = 6.0
_OUTAGE_S = 0.7
_CODE = 7
_NOBODY = "nobody"


class Stage:
    """Three programs: one writes all the time, `early` exits during the outage, `late` after it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.source = build_source(str(directory))
        self.ledger = directory / "ledger"
        for name in ("early", "late"):
            os.mkfifo(directory / f"{name}.go")

    @property
    def programs(self) -> dict[str, list[str]]:
        return {
            "writer": [self.source, "write", str(self.ledger), "100"],
            "early": self._mortal("early"),
            "late": self._mortal("late"),
        }

    def _mortal(self, name: str) -> list[str]:
        """It opens the FIFO for both, so that it waits for a line and not for who writes it."""
        here = self.directory
        script = here / f"{name}.sh"
        script.write_text(f"echo $$ >> {here}/{name}.pids\nread line <> {here}/{name}.go\nexit {_CODE}\n")
        return ["sh", str(script)]

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def pids(self, name: str) -> list[int]:
        return [pid for pid in family.running(self.programs[name]) if not _is_zombie(pid)]

    def end(self, name: str) -> None:
        with open(self.directory / f"{name}.go", "r+b", buffering=0) as fifo:  # for both, so that nobody is waited for
            fifo.write(b"\n")
            until(lambda: not select.select([fifo], [], [], 0)[0], _RESTART_MAX_S)

    def started(self, name: str) -> int:
        """So often."""
        path = self.directory / f"{name}.pids"
        return len(path.read_text().split()) if path.exists() else 0


@dataclass
class Tool:
    """As its operator has it: how to start it, which of its processes are which, what it says of `early`."""

    name: str
    launch: Callable[[Stage], None]
    victims: Callable[[Stage], dict[str, list[int]]]
    asked: Callable[[Stage], str]
    missing: Callable[[], str | None] = lambda: None
    close: Callable[[Stage], None] = lambda _: None


@dataclass(frozen=True)
class Row:
    tool: str
    killed: str
    alive: str
    output: str
    status: str
    restart: str


def experiment(one: Tool, killed: str) -> Row:
    with _stage() as stage:
        try:
            one.launch(stage)
            until(lambda: all(stage.pids(name) for name in stage.programs) and stage.log("writer").exists(), _UP_MAX_S)
            return _observe(one, killed, stage)
        finally:
            one.close(stage)
            family.sweep()


def _observe(one: Tool, killed: str, stage: Stage) -> Row:
    before = {name: stage.pids(name) for name in stage.programs}
    victims = one.victims(stage)
    leaks.kill_all(victims.get(killed, []))
    stage.end("early")
    until(lambda: False, _OUTAGE_S)
    logged_bytes = len(stage.log("writer").read_bytes())
    if killed == "main":
        one.launch(stage)
        until(lambda: stage.started("early") > 1, _RESTART_MAX_S)
    alive = [name for name in ("writer", "late") if set(before[name]) & set(stage.pids(name))]
    said = _alive(stage, alive)
    status = "known" if until(lambda: str(_CODE) in one.asked(stage), _RESTART_MAX_S) else "no"
    restart = _restart(stage)
    output = _output(stage, before["writer"][0], logged_bytes) if "writer" in alive else "-"
    return Row(one.name, killed, said, output, status, restart)


def _alive(stage: Stage, alive: list[str]) -> str:
    twice = [name for name in ("writer", "late") if len(stage.pids(name)) > 1]
    return f"{len(alive)} of 2" + (f", {' '.join(twice)} twice" if twice else "")


def _restart(stage: Stage) -> str:
    """Of `late`, which has run until now."""
    before = stage.started("late")
    for _ in stage.pids("late"):
        stage.end("late")
    return "yes" if until(lambda: stage.started("late") > before, _RESTART_MAX_S) else "no"


def _output(stage: Stage, writer: int, logged_amid_bytes: int) -> str:
    """The writer says how many records it wrote; the log has to have them all. Where a second one writes into the same
    log, what stood there before it came is all there is of the first."""
    is_alone = stage.pids("writer") == [writer]
    os.kill(writer, signal.SIGTERM)
    if not until(lambda: stage.ledger.exists() and stage.ledger.read_text().endswith("\n"), _RESTART_MAX_S):
        return "-"
    count = int(stage.ledger.read_text())
    expected = subprocess.run([stage.source, "expect", str(count)], capture_output=True, check=True).stdout
    if is_alone and until(lambda: stage.log("writer").read_bytes().startswith(expected), 2.0):
        return "all"
    logged_bytes = len(stage.log("writer").read_bytes()) if is_alone else logged_amid_bytes
    return f"{count - logged_bytes // RECORD_BYTES} of {count} lost"


# --- supervisord ---

_SUPERVISORD = """[supervisord]
nodaemon=true
logfile={here}/tool.log
pidfile={here}/tool.pid
"""
_PROGRAM = """[program:{name}]
command={command}
stdout_logfile={here}/{name}.log
stdout_logfile_maxbytes=0
autorestart=true
startsecs=0
"""


def _launch_supervisord(stage: Stage) -> None:
    here = stage.directory
    tables = [_PROGRAM.format(name=n, command=shlex.join(c), here=here) for n, c in stage.programs.items()]
    (here / "supervisord.conf").write_text(_SUPERVISORD.format(here=here) + "".join(tables))
    family.spawn([str(tool("supervisord")), "-n", "-c", str(here / "supervisord.conf")], here)


def _of(*words: str) -> list[int]:
    """Processes of ours with this in their command line."""
    found = {pid: family.command_line_of(pid).replace(b"\0", b" ").decode() for pid in family.descendants()}
    return [pid for pid, line in found.items() if all(word in line for word in words) and not _is_zombie(pid)]


def _said_by_supervisord(stage: Stage) -> str:
    lines = _text(stage.directory / "tool.log").splitlines()
    return " ".join(line.partition("exit status")[2] for line in lines if "exited: early" in line)


SUPERVISORD = Tool(
    "supervisord",
    _launch_supervisord,
    lambda stage: {"main": _of("supervisord", str(stage.directory))},
    _said_by_supervisord,
    lambda: None if tool("supervisord") else pip_install("supervisor"),
)

# --- circus ---

_CIRCUS = """[circus]
check_delay = 1
endpoint = ipc://{here}/endpoint
pubsub_endpoint = ipc://{here}/pubsub
"""
_WATCHER = """[watcher:{name}]
cmd = {command}
numprocesses = 1
copy_env = True
max_retry = -1
stdout_stream.class = FileStream
stdout_stream.filename = {here}/{name}.log
"""

_LISTENER = """import sys, zmq
events = zmq.Context().socket(zmq.SUB)
events.connect(sys.argv[1])
events.setsockopt(zmq.SUBSCRIBE, b"watcher.early.reap")
while True: print(events.recv_multipart())
"""


def _launch_circus(stage: Stage) -> None:
    """With a client that listens to its events, which is where it says how a program ended."""
    here = stage.directory
    tables = [_WATCHER.format(name=n, command=shlex.join(c), here=here) for n, c in stage.programs.items()]
    (here / "circus.ini").write_text(_CIRCUS.format(here=here) + "".join(tables))
    family.spawn([str(tool("circusd")), "--log-level", "error", str(here / "circus.ini")], here)
    command = [str(Path(str(tool("circusd"))).parent / "python"), "-uc", _LISTENER, f"ipc://{here}/pubsub"]
    with (here / "events").open("ab") as events:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=events, stderr=events, env=environment())


def _said_by_circus(stage: Stage) -> str:
    return " ".join(line.partition("exit_code")[2] for line in _text(stage.directory / "events").splitlines())


CIRCUS = Tool(
    "circus",
    _launch_circus,
    lambda stage: {"main": _of("circusd", str(stage.directory))},
    _said_by_circus,
    lambda: None if tool("circusd") else pip_install("circus"),
)

# --- tmux ---


def _tmux(stage: Stage, *words: str) -> str:
    command = [str(tool("tmux")), "-S", str(stage.directory / "tmux.sock"), "-f", "/dev/null", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment()).stdout


def _launch_tmux(stage: Stage) -> None:
    """A window for each program, that stays when it has ended; pipe-pane for the output."""
    for number, (name, command) in enumerate(stage.programs.items()):
        new = ["new-window", "-d"] if number else ["new-session", "-d", "-x", "200", "-y", "50"]
        _tmux(stage, *new, "-n", name, "--", "sh", "-c", f"sleep 0.5; exec {shlex.join(command)}")
        _tmux(stage, "set-option", "-w", "-t", f":{name}", "remain-on-exit", "on")
        _tmux(stage, "pipe-pane", "-o", "-t", f":{name}", f"exec cat >> {stage.log(name)}")


TMUX = Tool(
    "tmux",
    _launch_tmux,
    lambda _: {"main": _of("tmux", "tmux.sock"), "pipe-pane's cat": _of("cat")},
    lambda stage: _tmux(
        stage, "list-panes", "-s", "-F", "#{window_name} #{pane_dead_status}", "-f", "#{==:#{window_name},early}"
    ),
    lambda: None if tool("tmux") else "apt install tmux",
)

# --- ringvisor ---

_SESSION = """
[session.{name}]
command = {command}
io = "{io}"
start_seconds = 0
log = {{ path = "{log}" }}
restart = {{ policy = "always", delay = "0.02" }}
"""
_daemons: dict[Path, RunningDaemon] = {}


def _launch_ringvisor(stage: Stage) -> None:
    if stage.directory in _daemons:
        daemon = _daemons[stage.directory]
        daemon.process.wait()
        daemon.process = daemon.launch()
        return
    tables = [
        _SESSION.format(name=n, command=json.dumps(c), io="pty" if n == "writer" else "pipe", log=stage.log(n))
        for n, c in stage.programs.items()
    ]
    home = stage.directory / "fleet"
    home.mkdir()
    _daemons[stage.directory] = RunningDaemon(home, f"survivors-{os.getpid()}", "".join(tables))


def _victims_of_ringvisor(stage: Stage) -> dict[str, list[int]]:
    status = _daemons[stage.directory].status()
    workers = [one.worker_pid for one in status.sessions]
    services = {name: [pid] for name, pid in status.fleet.processes.items() if name in ("supervisor", "router")}
    return {
        "main": [status.fleet.pid],
        **services,
        "workers": workers,
        "supervisor, router, workers": [*services["supervisor"], *services["router"], *workers],
    }


def _said_by_ringvisor(stage: Stage) -> str:
    with contextlib.suppress(Exception):
        return str((_daemons[stage.directory].session("early").exit or {}).get("code", ""))
    return ""


def _close_ringvisor(stage: Stage) -> None:
    daemon = _daemons.pop(stage.directory)
    daemon.close()
    leaks.remove_shared(f"ringvisor-{os.geteuid()}-survivors-{os.getpid()}")


RINGVISOR = Tool("ringvisor", _launch_ringvisor, _victims_of_ringvisor, _said_by_ringvisor, close=_close_ringvisor)

# --- all of them ---

_VICTIMS = {
    "supervisord": [_NOBODY, "main"],
    "circus": [_NOBODY, "main"],
    "tmux": [_NOBODY, "main", "pipe-pane's cat"],
    "ringvisor": [_NOBODY, "main", "supervisor", "router", "workers", "supervisor, router, workers"],
}


def until(is_so: Callable[[], bool], patience_s: float) -> bool:
    deadline_s = time.monotonic() + patience_s
    while not (found := is_so()) and time.monotonic() < deadline_s:
        time.sleep(_LOOK_S)
    return found


@contextlib.contextmanager
def _stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="survivors-") as directory:
        yield Stage(Path(directory))


def _is_zombie(pid: int) -> bool:
    return b") Z" in _bytes(f"/proc/{pid}/stat")


def _bytes(path: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(path).read_bytes()
    return b""


def _text(path: Path) -> str:
    return _bytes(str(path)).decode(errors="replace")


def _systemd() -> str:
    """What we can say of it here."""
    if shutil.which("systemd-run") and os.path.isdir("/run/systemd/system"):
        return "systemd: PID 1 cannot be killed; see tests/systemd for what its units do with ours"
    return f"systemd ({answer('systemctl', '--version') or 'not installed'}) is not the init here: left out"


def main() -> int:
    family.adopt_orphans()
    print(f"| {'tool':11} | {'kill -9 of':27} | alive       | output | status | restart |\n|---|---|---|---|---|---|")
    remarks = [_systemd()]
    for one in (SUPERVISORD, CIRCUS, TMUX, RINGVISOR):
        if why := one.missing():
            remarks.append(f"{one.name} is not installed: {why}")
            continue
        for killed in _VICTIMS[one.name]:
            row = experiment(one, killed)
            print(
                f"| {row.tool:11} | {row.killed:27} | {row.alive} | {row.output} | {row.status} | {row.restart} |",
                flush=True,
            )
    print("\n".join(remarks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
