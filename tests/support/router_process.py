"""A real router over real rings, with the test as its supervisor, its subscribers and (in children) its workers.

`python -m tests.support.router_process` is a clean single-threaded process that forks routers and writers on request,
so that a thousand of them can be killed in a minute.
"""

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from ipc import ring_layout as at
from ipc import router
from ipc.bell import Bell
from ipc.board import BELLS, mirror_word
from ipc.frames import Begin, End, EndReason, Kind, encode_begin, encode_end
from ipc.ordering import register
from ipc.ring_attach import attach_follower
from ipc.ring_dir import create_ring_dir, open_board, open_reader_bell, open_writer_bell
from ipc.ring_file import WriterFile, create_ring, open_ring
from ipc.ring_spec import RingSpec
from ipc.ring_writer import RingWriter
from ipc.router import router_socket_path
from ipc.router_messages import (
    AskStatus,
    Goodbye,
    Header,
    Hello,
    LogOrder,
    Now,
    Origin,
    Packet,
    Serve,
    Subscribe,
    Subscribed,
    decode_from_router,
    decode_gap_end,
    decode_stream,
    encode,
    is_stream,
)
from ipc.sink_spec import LogSpec, SinkSpec, write_sink
from ipc.unix_socket import connect_seqpacket
from tests.support.changes import Changes

PATIENCE_S = 20.0
_PATTERN = bytes(random.Random(11).choices(range(250), k=1 << 20))  # never ends in poison, repeats after a mebibyte


def stream(kind: int, epoch: int, start: int, end: int) -> bytes:
    """What the program wrote."""
    first = (start + 7919 * epoch + 104_729 * kind) % len(_PATTERN)
    pieces, left = [], end - start
    while left > 0:
        piece = _PATTERN[first : first + left]
        pieces.append(piece)
        left -= len(piece)
        first = 0
    return b"".join(pieces)


class Writer:
    """A worker's half of a session, without a program: the stream is known."""

    def __init__(self, ring_dir: str, session: str, slot: int) -> None:
        register()
        self._file = WriterFile(ring_dir, session)
        self._bells: dict[int, Bell] = {}
        self._ring_dir = ring_dir
        self.bell = open_writer_bell(ring_dir, session)
        self.ring = RingWriter(
            self._file.open(),
            board=open_board(ring_dir),
            mirror_word=mirror_word(slot),
            ring_bell=self._ring_bell,
            clock_ns=time.monotonic_ns,
            resize=self._file.resize,
        )

    def _ring_bell(self, number: int) -> None:
        if number not in self._bells:
            self._bells[number] = open_reader_bell(self._ring_dir, number)
        self._bells[number].ring()

    def offset(self, kind: int) -> int:
        return self.ring.out_offset if kind == Kind.OUT else self.ring.err_offset

    def begin(self, epoch: int) -> None:
        while not self.ring.begin_epoch(epoch, encode_begin(Begin(time.time_ns(), 80, 24))):
            self._wait()

    def end(self) -> None:
        while not self.ring.put(Kind.END, encode_end(End(EndReason.EOF, 0))):
            self._wait()

    def write(self, count: int, kind: int = Kind.OUT, chunk: int = 4096) -> None:
        """Waits for room as long as the ring's policy says so."""
        end = self.offset(kind) + count
        while self.offset(kind) < end:
            if not self.try_write(min(chunk, end - self.offset(kind)), kind):
                self._wait()

    def try_write(self, most: int, kind: int = Kind.OUT) -> int:
        window = self.ring.arm(kind, most)
        if window is None:
            return 0
        offset = self.offset(kind)
        length = min(most, len(window))
        window[:length] = stream(kind, self.ring.epoch, offset, offset + length)
        self.ring.commit(length)
        return length

    def fill(self) -> None:
        """Until the program would have to wait."""
        while self.try_write(4096):
            pass

    def _wait(self) -> None:
        if self.ring.prepare_wait():
            if not select.select([self.bell], [], [], PATIENCE_S)[0]:
                raise TimeoutError("nobody made room")
            self.bell.hush()
        self.ring.end_wait()

    def close(self) -> None:
        self._file.close()
        self.bell.close()
        for bell in self._bells.values():
            bell.close()


class Subscriber:
    """Reads its stream and holds it against what was written."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.bytes = {Kind.OUT: 0, Kind.ERR: 0}
        self.epoch = 0
        self.next_offset: dict[int, int | None] = {Kind.OUT: None, Kind.ERR: None}
        self.first: tuple[int, int] | None = None  # epoch and offset of OUT's first byte
        self.gaps: list[tuple[int, int, int, int]] = []  # kind, epoch, start, end
        self.frames: list[tuple[int, int, int]] = []  # kind, epoch, offset of all that are not bytes
        self.live = False
        self.subscribed: Subscribed | None = None
        self.goodbye: str | None = None

    def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self.receive()

    def receive(self) -> None:
        packet = self.socket.recv(1 << 17)
        assert packet, f"the router closed: {self.goodbye}"
        if is_stream(packet):
            self._take(*decode_stream(packet))
            return
        match decode_from_router(packet):
            case Subscribed() as subscribed:
                self.subscribed = subscribed
            case Goodbye(reason):
                self.goodbye = reason
            case other:
                raise AssertionError(other)

    def at(self, epoch: int, offset: int) -> bool:
        return (self.epoch, self.next_offset[Kind.OUT]) == (epoch, offset)

    def _take(self, header: Header, payload: bytes) -> None:
        match header.packet:
            case Packet.CAUGHT_UP:
                self.live = True
            case Packet.GAP:
                self._turn(header.epoch)
                end = decode_gap_end(payload)
                self.gaps.append((header.kind, header.epoch, header.offset, end))
                assert self.next_offset[header.kind] in (None, header.offset)
                self.next_offset[header.kind] = end
            case Packet.DATA:
                self._turn(header.epoch)
                self._take_data(header, payload)

    def _turn(self, epoch: int) -> None:
        if epoch != self.epoch:
            known = self.epoch != 0
            self.epoch = epoch
            self.next_offset = dict.fromkeys(self.next_offset, 0 if known else None)

    def _take_data(self, header: Header, payload: bytes) -> None:
        kind, offset = header.kind, header.offset
        if kind not in self.bytes:
            self.frames.append((kind, header.epoch, offset))
            return
        self.first = self.first or (header.epoch, offset)
        assert self.next_offset[kind] in (None, offset), f"{self.next_offset}, then {header}"
        assert payload == stream(kind, header.epoch, offset, offset + len(payload)), f"wrong bytes: {header}"
        self.next_offset[kind] = offset + len(payload)
        self.bytes[Kind(kind)] += len(payload)


def _ring(path: str) -> None:
    with contextlib.suppress(OSError):  # nobody has it open, or it is full
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, b"\x01")
        os.close(fd)


class Forks:
    """Forked processes of the driver, one at a time each."""

    def __init__(self) -> None:
        self._driver = subprocess.Popen(
            [sys.executable, "-m", "tests.support.router_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    def fork(self, what: str, *args: Any) -> int:
        return int(self._ask(what, *args))

    def wait(self, pid: int) -> int:
        """Its wait status."""
        return int(self._ask("wait", pid))

    def kill(self, pid: int, signum: int = signal.SIGKILL) -> int:
        os.kill(pid, signum)
        return self.wait(pid)

    def _ask(self, *command: Any) -> str:
        assert self._driver.stdin
        assert self._driver.stdout
        self._driver.stdin.write(json.dumps(command) + "\n")
        self._driver.stdin.flush()
        return self._driver.stdout.readline()

    def close(self) -> None:
        self._driver.communicate()


class Installation:
    """Ring directory, logs, and one router."""

    def __init__(self, shm_dir: str, log_dir: str) -> None:
        self.ring_dir, self.runtime_dir, self.log_dir = f"{shm_dir}/rings", f"{shm_dir}/run", log_dir
        create_ring_dir(self.ring_dir)
        os.makedirs(self.runtime_dir, mode=0o700)
        self.reports_path = f"{self.runtime_dir}/reports"
        self.forks = Forks()
        self.pid = 0
        self._open = contextlib.ExitStack()
        self._slots: dict[str, int] = {}
        self._id = 0

    # --- the router ---

    def start(self, *, fell: bool = False) -> None:
        self.pid = self.forks.fork("router", self.ring_dir, self.runtime_dir, self.reports_path, fell)

    def kill(self, signum: int = signal.SIGKILL) -> int:
        os.kill(self.pid, signum)
        return self.wait()

    def wait(self) -> int:
        """Its wait status. As the keeper does after each death, all bells are rung."""
        status = self.forks.wait(self.pid)
        self.pid = 0
        for number in range(BELLS):
            _ring(f"{self.ring_dir}/bell.{number}")
        for session in self._slots:
            _ring(f"{self.ring_dir}/{session}.bell")
        return status

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The router stands still, wherever it is."""
        os.kill(self.pid, signal.SIGSTOP)
        while any(state != "T" for state in self._thread_states()):
            os.sched_yield()
        yield
        os.kill(self.pid, signal.SIGCONT)

    def _thread_states(self) -> str:
        states = ""
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError), open(f"/proc/{self.pid}/task/{task}/stat") as stat:
                states += stat.read().rpartition(")")[2].split()[0]
        return states

    def reports(self) -> str:
        with contextlib.suppress(FileNotFoundError), open(self.reports_path) as file:
            return file.read()
        return ""

    # --- sessions ---

    def create(self, session: str, *, log: LogSpec | None = None, no_log: bool = False, **ring: Any) -> int:
        """Ring and sink, as the supervisor makes them; the router is not told. Returns the slot."""
        slot = self._slots.setdefault(session, len(self._slots))
        log = None if no_log else log or self.log(session)
        gating = log is not None and log.required
        create_ring(self.ring_dir, session, RingSpec(slot, has_log=log is not None, gating_log=gating, **ring))
        write_sink(self.ring_dir, SinkSpec(session, slot, log))
        return slot

    def log(self, session: str, directory: str | None = None, **more: Any) -> LogSpec:
        return LogSpec(directory or self.log_dir, f"{session}.log", f"{session}.err.log", **more)

    def change(self, session: str, log: LogSpec | None) -> None:
        write_sink(self.ring_dir, SinkSpec(session, self._slots[session], log))

    def writer(self, session: str) -> Writer:
        writer = Writer(self.ring_dir, session, self._slots[session])
        self._open.callback(writer.close)
        return writer

    def session(self, name: str, **more: Any) -> Writer:
        """All of it, in its first epoch, known to the router if there is one."""
        self.create(name, **more)
        writer = self.writer(name)
        writer.begin(1)
        if self.pid:
            answer = self.order(Serve(0, name))
            assert type(answer).__name__ == "Done", answer
        return writer

    def slot(self, session: str) -> int:
        return self._slots[session]

    def written(self, session: str, kind: int = Kind.OUT) -> int:
        """How far its stream has come, by the ring."""
        tally = attach_follower(self.ring_dir, session)
        newest = tally.memory.descriptor(tally.newest - 1)
        return tally.standing()[1] if kind == Kind.OUT else newest.other_offset

    def wait_for_full_ring(self, session: str) -> None:
        """Until its writer waits for room."""
        ring = open_ring(self.ring_dir, session, writable=False)
        deadline_s = time.monotonic() + PATIENCE_S
        while not ring.q[at.W_WAITING]:
            assert time.monotonic() < deadline_s, "its writer does not wait"
            os.sched_yield()

    # --- its clients ---

    def connect(self) -> socket.socket:
        connection = self._try_connect()
        if connection is None:
            with Changes(self.runtime_dir) as changes:
                while (connection := self._try_connect()) is None:
                    changes.wait(PATIENCE_S)
        self._open.callback(connection.close)
        connection.send(encode(Hello()))
        return connection

    def _try_connect(self) -> socket.socket | None:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            return connect_seqpacket(router_socket_path(self.runtime_dir), timeout_s=PATIENCE_S)
        return None

    def order(self, order: Any) -> Any:
        with self.connect() as connection:
            connection.send(encode(order))
            return decode_from_router(connection.recv(1 << 17))

    def log_order(self, action: str, sessions: list[str] | None = None) -> Any:
        return self.order(LogOrder(7, action, sessions))

    def status(self) -> Any:
        return self.order(AskStatus(1))

    def subscribe(self, session: str, origin: Origin | None = None, max_lag_bytes: int = 1 << 20) -> Subscriber:
        """Returns once the router knows where this one begins."""
        subscriber = Subscriber(self.connect())
        subscriber.socket.send(encode(Subscribe(session, origin or Now(), max_lag_bytes)))
        subscriber.until(lambda: subscriber.subscribed is not None or subscriber.goodbye is not None)
        return subscriber

    # --- its logs ---

    def wait_logged(self, session: str, size: int, stream_name: str = "log", directory: str | None = None) -> bytes:
        """Until the current part has so many bytes."""
        directory = directory or self.log_dir
        path = f"{directory}/{session}.{stream_name}"
        self.wait_in(directory, lambda: os.path.exists(path) and os.stat(path).st_size >= size)
        with open(path, "rb") as file:
            return file.read()

    @staticmethod
    def wait_in(directory: str, holds: Callable[[], bool]) -> None:
        with Changes(directory) as changes:
            while not holds():
                changes.wait(PATIENCE_S)

    def close(self) -> None:
        if self.pid:
            self.kill()
        self._open.close()
        self.forks.close()


@contextlib.contextmanager
def installation(shm_dir: str, log_dir: str) -> Iterator[Installation]:
    installed = Installation(shm_dir, log_dir)
    try:
        yield installed
    except BaseException:
        print(installed.reports(), file=sys.stderr)
        raise
    finally:
        installed.close()


# --- in the driver and its children ---


def _drive() -> None:
    for line in sys.stdin:
        what, *args = json.loads(line)
        if what == "wait":
            print(os.waitpid(args[0], 0)[1], flush=True)
            continue
        pid = os.fork()
        if not pid:
            _become(what, args)
        print(pid, flush=True)


def _become(what: str, args: list[Any]) -> None:
    code = 1
    try:
        os.dup2(2, 1)
        {"router": _be_router, "load": _be_load}[what](*args)
        code = 0
    except SystemExit as request:
        code = request.code if isinstance(request.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - a forked child never returns
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _be_router(ring_dir: str, runtime_dir: str, reports_path: str, fell: bool) -> None:  # noqa: FBT001 - from JSON
    def report(line: str) -> None:
        with open(reports_path, "a") as reports:
            reports.write(line + "\n")

    sys.stderr = open(reports_path, "a")  # noqa: SIM115 - until the end
    router.run(ring_dir, runtime_dir, predecessor_fell=fell, report=report)


def _be_load(ring_dir: str, sessions: list[tuple[str, int]], seed: int, pause_s: float = 0.0005) -> None:
    """Writes to all of them in turn, in drops and in bursts that fill the rings, until SIGTERM; then ends their epochs.

    Killed and forked again it goes on where the rings stand."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, _: stopping.append(signum))
    rng = random.Random(seed)
    writers = [Writer(ring_dir, name, slot) for name, slot in sessions]
    for writer in writers:
        if not writer.ring.epoch:
            writer.begin(1)
    while not stopping:
        for writer in writers:
            writer.write(rng.randint(1, 8192) if rng.random() < 0.98 else 500_000, Kind.OUT)
            if rng.random() < 0.1:
                writer.write(rng.randint(1, 500), Kind.ERR)
        if pause_s:
            time.sleep(pause_s)  # a load that leaves room for others, not a wait for anything
    for writer in writers:
        writer.end()


if __name__ == "__main__":
    _drive()
