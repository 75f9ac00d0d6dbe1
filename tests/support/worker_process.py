"""A real program, a real worker forked as the keeper does it, and a reader of their ring. The test is the keeper.

Nothing here sleeps: `until` waits for the reader's bell, the clients' sockets and the deaths of program and worker,
and looks at its condition after each.
"""

import atexit
import contextlib
import functools
import gc
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from childproc import worker
from childproc.fdtable import close_all_except
from childproc.job import PipeFds, PtyFds, WorkerJob
from childproc.program import GO, PREPARED, become, default_signals
from childproc.spec import Io, ProgramSpec
from ipc import ring_layout as at
from ipc.board import FIRST_LOG_BELL, sleeping_word
from ipc.frames import Kind
from ipc.ordering import barrier
from ipc.ring_attach import attach_reader
from ipc.ring_dir import create_ring_dir, open_board, open_reader_bell, open_writer_bell
from ipc.ring_file import create_ring, open_ring
from ipc.ring_spec import RingSpec
from supervisor.keeper.openers import opened
from tests.support import leaks
from tests.support.ledger import Ledger, Stream
from tests.support.worker_client import WorkerClient

PATIENCE_S = 20.0
SESSION = "s"
LATE = b"late words\n"
_ENVIRONMENT = {b"PATH": os.environb.get(b"PATH", b"/usr/bin:/bin"), b"HOME": b"/"}


@functools.cache
def actor() -> str:
    """The C program beside this file, compiled once."""
    directory = tempfile.mkdtemp(prefix="ringvisor-actor-")
    atexit.register(shutil.rmtree, directory)
    program = f"{directory}/actor"
    source = Path(__file__).with_name("actor.c")
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-o", program, str(source)], check=True)
    return program


@functools.lru_cache(maxsize=16)
def lines(size_bytes: int) -> bytes:
    """What the actor writes."""
    return b"".join(b"%015x\n" % line for line in range(size_bytes // 16 + 1))[:size_bytes]


def forked(child: Callable[[], object]) -> int:
    """With all signals blocked until the child sets its own. The one other thread there may be is pytest's watchdog,
    which holds nothing that a child needs."""
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            gc.freeze()
            code = 1
            try:
                child()
            except BaseException:  # noqa: BLE001 - the end of this process, whatever it is
                traceback.print_exc()
            finally:
                os._exit(code)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


class WorkerRig:
    """One session. `argv` runs at once; its worker when `start_worker` is called (`worker_too`: at once)."""

    def __init__(
        self,
        base_dir: str,
        argv: Sequence[str],
        *,
        io: Io = Io.PTY,
        policy: at.Policy = at.Policy.BLOCK,
        size_bytes: int = at.MIN_DATA_BYTES,
        max_bytes: int = at.MIN_DATA_BYTES,
        orphan_linger_s: float = PATIENCE_S,
        stall_max_s: float = PATIENCE_S,
        pipe_bytes: int = 1 << 16,
        worker_too: bool = True,
        run_worker: Callable[[WorkerJob], NoReturn] = worker.run,
    ) -> None:
        self._base = base_dir
        self.ring_dir, self.runtime_dir = f"{base_dir}/rings", f"{base_dir}/run"
        os.makedirs(f"{self.runtime_dir}/w", mode=0o700, exist_ok=True)
        create_ring_dir(self.ring_dir)
        create_ring(self.ring_dir, SESSION, RingSpec(0, size_bytes, max_bytes, policy))
        self._strangers = set(leaks.children_of(os.getpid()))
        self.run_worker = run_worker
        self._settings = {"orphan_linger_s": orphan_linger_s, "stall_max_s": stall_max_s}
        self._board = open_board(self.ring_dir)
        self._bell = open_reader_bell(self.ring_dir, FIRST_LOG_BELL)
        self._reader = attach_reader(self.ring_dir, SESSION, at.ReaderSlot.LOG, bell=FIRST_LOG_BELL, gating=True)
        self.ledger = Ledger()
        self.clients: list[WorkerClient] = []
        self.reading = True
        self.epoch = 0
        self.worker_pid = self.worker_pidfd = -1
        self.worker_status: int | None = None
        self.worker_used_s = 0.0
        self.program_status: int | None = None
        self.may_fail = False
        self._fds: PtyFds | PipeFds | None = None
        self.start_program(argv, io, pipe_bytes)
        if worker_too:
            self.start_worker()

    # ---- the keeper's part

    def start_program(self, argv: Sequence[str], io: Io, pipe_bytes: int = 1 << 16) -> None:
        """A new epoch."""
        spec = ProgramSpec(tuple(map(os.fsencode, argv)), _ENVIRONMENT, io, pipe_bytes=pipe_bytes)
        ours, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, opened(spec) as stdio:
            self.pid = forked(lambda: become(spec, stdio.program, childs.fileno()))
            childs.close()
            self.pidfd = os.pidfd_open(self.pid)
            assert ours.recv(1) == PREPARED
            ours.send(GO)
            assert not (failure := ours.recv(1000)), failure
            self._fds = stdio.ours
        self.program_status = None
        self.epoch += 1

    def next_epoch(self, argv: Sequence[str], io: Io) -> None:
        """After the last one is over."""
        self._close_fds()
        self.start_program(argv, io)
        self.start_worker()

    def start_worker(self) -> None:
        assert self._fds
        job = WorkerJob(
            SESSION, self.epoch, 0, self._fds, self.pid, self.pidfd, self.ring_dir, self.runtime_dir, **self._settings
        )
        keep = [self.pidfd, *(fd for fd in self._program_fds() if fd >= 0)]
        self.worker_pid = forked(lambda: self._be_worker(job, keep))
        self.worker_pidfd = os.pidfd_open(self.worker_pid)
        self.worker_status = None

    def _be_worker(self, job: WorkerJob, keep: Iterable[int]) -> None:
        os.dup2(os.open(self._errors_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 - for the rest of this process's life
        os.setsid()
        default_signals()
        close_all_except((0, 1, 2, *keep))
        self.run_worker(job)

    @property
    def _errors_path(self) -> str:
        return f"{self._base}/worker.err"

    @property
    def errors(self) -> str:
        with contextlib.suppress(FileNotFoundError), open(self._errors_path) as file:
            return file.read()
        return ""

    def kill_worker(self) -> None:
        os.kill(self.worker_pid, signal.SIGKILL)
        self._collect_worker(wait=True)

    def replace_worker(self) -> None:
        self.kill_worker()
        self.start_worker()

    def have_worker_replaced(self) -> int:
        """As in an upgrade. Gives its exit code."""
        os.kill(self.worker_pid, signal.SIGTERM)
        open_writer_bell(self.ring_dir, SESSION).ring()
        self._collect_worker(wait=True)
        assert self.worker_status is not None
        left = self.worker_status
        self.start_worker()
        return left

    def close_stdin(self) -> None:
        """The keeper's half of it."""
        match self._fds:
            case PipeFds(stdin, stdout, stderr):
                os.close(stdin)
                self._fds = PipeFds(-1, stdout, stderr)
            case _:
                raise AssertionError

    def _program_fds(self) -> tuple[int, ...]:
        match self._fds:
            case PtyFds(master):
                return (master,)
            case PipeFds(stdin, stdout, stderr):
                return stdin, stdout, stderr
            case None:
                return ()

    @property
    def master(self) -> int:
        assert isinstance(self._fds, PtyFds)
        return self._fds.master

    def _collect_worker(self, *, wait: bool) -> None:
        if self.worker_pidfd < 0:
            return
        pid, status, usage = os.wait4(self.worker_pid, 0 if wait else os.WNOHANG)
        if pid:
            self.worker_used_s = usage.ru_utime + usage.ru_stime
            self.worker_status = os.waitstatus_to_exitcode(status)
            os.close(self.worker_pidfd)
            self.worker_pidfd = -1

    def _collect_program(self) -> None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.program_status = os.waitstatus_to_exitcode(status)

    def kill_program(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def until_program_stops(self) -> None:
        self.until(lambda: os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG), look_every_s=0.002)

    # ---- the reader's part

    @property
    def out(self) -> Stream:
        return self.ledger.stream(Kind.OUT, self.epoch)

    @property
    def err(self) -> Stream:
        return self.ledger.stream(Kind.ERR, self.epoch)

    def words(self) -> memoryview:
        """The header of the ring as it stands now, whatever generation the reader is in."""
        return open_ring(self.ring_dir, SESSION).q

    def read(self, most_runs: int = 1 << 30) -> int:
        """All there is. How many runs that was."""
        runs = 0
        while runs < most_runs and (run := self._reader.next_run(1 << 20)):
            self.ledger.take(run)
            self._reader.finish(run)
            runs += 1
        return runs

    def until(
        self, condition: Callable[[], object], *, patience_s: float = PATIENCE_S, look_every_s: float = PATIENCE_S
    ) -> None:
        """`look_every_s`: for what no fd tells, such as a line in /proc."""
        deadline_s = time.monotonic() + patience_s
        while True:
            if self.reading:
                self.read()
            if condition():
                return
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"waited {patience_s} s in vain; {self}"
            self._wait(min(left_s, look_every_s))

    def _wait(self, left_s: float) -> None:
        self._board[sleeping_word(FIRST_LOG_BELL)] = 1
        barrier()
        if self.reading and self._reader.has_news():
            return
        poll = select.poll()
        if self.program_status is None:
            poll.register(self.pidfd, select.POLLIN)
        if self.worker_pidfd >= 0:
            poll.register(self.worker_pidfd, select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        for client in self.clients:
            if not client.closed:
                poll.register(client, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(left_s * 1000)}
        self._bell.hush()
        if self.pidfd in ready:
            self._collect_program()
        if self.worker_pidfd in ready:
            self._collect_worker(wait=False)
        for client in self.clients:
            if not client.closed and client.fileno() in ready:
                client.receive()

    def until_idle_for(self, time_s: float) -> None:
        """The worker comes to rest: for so long it uses next to no CPU. A spinning one uses all there is."""
        self.until(lambda: self._used_in(time_s) < time_s / 50)

    def _used_in(self, time_s: float) -> float:
        before_s, started_s = self.worker_cpu_s(), time.monotonic()
        self.until(lambda: time.monotonic() - started_s >= time_s, look_every_s=time_s / 10)
        return self.worker_cpu_s() - before_s

    def until_ended(self) -> None:
        """Program gone, output ended, worker gone: collected, and nothing left to read."""
        self.until(lambda: self.program_status is not None and self.worker_pidfd < 0)
        self.read()
        assert self.worker_status == 0, f"{self.worker_status} {self.errors}"

    # ---- looking at the worker

    def connect(self) -> WorkerClient:
        """A greeted client."""
        client = self.connect_silently()
        client.hello()
        self.until(lambda: client.greeting)
        return client

    def connect_silently(self) -> WorkerClient:
        self.until(self._connect, look_every_s=0.002)
        return self.clients[-1]

    def _connect(self) -> bool:
        """False: the worker does not listen yet."""
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            self.clients.append(WorkerClient(worker.input_socket_path(self.runtime_dir, SESSION)))
            return True
        return False

    def worker_cpu_s(self) -> float:
        """Used so far, exact: the process's own clock."""
        return time.clock_gettime(~self.worker_pid << 3 | 2)

    def is_held_back(self) -> bool:
        """The ring is full, and the worker waits for its bell."""
        return bool(self.words()[at.W_WAITING])

    def worker_sleeps(self) -> bool:
        with open(f"/proc/{self.worker_pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "S"

    def worker_sockets(self) -> int:
        directory, count = f"/proc/{self.worker_pid}/fd", 0
        for fd in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                count += os.readlink(f"{directory}/{fd}").startswith("socket:")
        return count

    def poll_masks(self) -> dict[int, int]:
        """How the worker's epoll watches which fd."""
        masks, directory = {}, f"/proc/{self.worker_pid}/fdinfo"
        for entry in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError), open(f"{directory}/{entry}") as info:  # closed meanwhile
                for line in info:
                    match line.split():
                        case ["tfd:", fd, "events:", mask, *_]:
                            masks[int(fd)] = int(mask, 16)
        return masks

    def worker_knows_of_the_leaders_end(self) -> bool:
        """It no longer polls the pidfd, which it did before the second of the others, and has slept since: the turn in
        which it noticed, and read what there was, is over."""
        masks = self.poll_masks()
        return len(masks) > 1 and self.pidfd not in masks and self._worker_sleeps()

    def _worker_sleeps(self) -> bool:
        with open(f"/proc/{self.worker_pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "S"

    def __str__(self) -> str:
        heard = {f"{kind.name} {epoch}": bytes(s.data[-60:]) for (epoch, kind), s in self.ledger.streams.items()}
        return f"program {self.program_status}, worker {self.worker_status} {self.errors}, heard at last {heard}"

    # ---- the end

    def close(self) -> None:
        for client in self.clients:
            client.close()
        strays = set(leaks.children_of(os.getpid())) - self._strangers
        while strays:
            leaks.kill_all(list(strays))
            for pid in strays:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
            strays = set(leaks.children_of(os.getpid())) - self._strangers
        self._close_fds()
        self._bell.close()
        del self._reader, self._board
        assert self.may_fail or not self.errors, self.errors

    def _close_fds(self) -> None:
        for fd in (self.pidfd, self.worker_pidfd, *self._program_fds()):
            if fd >= 0:
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.may_fail = self.may_fail or error is not None
        self.close()
