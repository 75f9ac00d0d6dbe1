"""The whole data plane as it ships, keeper, workers and router, with the test as its supervisor."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from childproc.spec import ProgramSpec
from ipc.ring_spec import RingSpec
from ipc.router import router_socket_path
from ipc.router_messages import AskStatus, Hello, RouterStatus, Serve, decode_from_router, encode
from ipc.sink_spec import LogSpec, SinkSpec, write_sink
from ipc.unix_socket import connect_seqpacket
from supervisor.keeper import packets
from supervisor.keeper.messages import Create, Done, OutputEnded, ProgramExited, Started, WaitStatus
from supervisor.keeper.process import Installation
from supervisor.keeper.table import OutputState
from tests.support import leaks
from tests.support.changes import Changes, wait_until
from tests.support.keeper import PATIENCE_S, Supervisor

_AT_REST_S = 2.0
_OVER = (OutputState.NONE, OutputState.ENDED)
_STAND_IN = "tests.support.stand_in_services:supervisor"


class RunningFleet:
    def __init__(self, shm_dir: str, log_dir: str, **installation: Any) -> None:
        self.ring_dir, self.runtime_dir, self.log_dir = f"{shm_dir}/rings", f"{shm_dir}/run", log_dir
        os.makedirs(self.runtime_dir, mode=0o700)
        path = f"{self.runtime_dir}/test.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen()
        self._listener.settimeout(PATIENCE_S)
        self._installation = Installation(self.ring_dir, self.runtime_dir, _STAND_IN, (path,), **installation)
        self._stderr_path = f"{self.runtime_dir}/stderr"
        self._slots: dict[str, int] = {}
        self._epochs: dict[str, int] = {}
        self._process = self._launch()
        self.supervisor = self._next_supervisor()
        self.supervisor.hello()

    def _launch(self, *module: str) -> "subprocess.Popen[bytes]":
        with open(self._stderr_path, "a") as stderr:
            installation = msgspec.json.encode(self._installation).decode()
            command = [sys.executable, "-m", *(module or ("supervisor.keeper.process",)), installation]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill_keeper(self) -> None:
        self._process.kill()
        self._process.wait()

    def keeper_that_dies(self, after_s: float) -> None:
        """It is given so much time."""
        self._process = self._launch()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(after_s)
        self.kill_keeper()

    def keeper_that_dies_at(self, line: int) -> bool:
        """False: it came to rest before it had executed so many."""
        self._process = self._launch("tests.support.dying_keeper", str(line))
        died = self.has_died_by_itself()
        self.kill_keeper()
        return died

    def keeper_that_dies_in(self, function: str, line: int) -> None:
        """So many lines after this was called for the first time."""
        self._process = self._launch("tests.support.dying_keeper", str(line), function)
        self.replace_supervisor()
        self.supervisor.hello()

    def has_died_by_itself(self) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_AT_REST_S)
        return self._process.poll() is not None

    def next_keeper(self) -> None:
        """After the last one was killed: it has found what there is."""
        self._process = self._launch()
        self.replace_supervisor()
        self.supervisor.hello()

    def _next_supervisor(self) -> Supervisor:
        while True:
            stand_in, _ = self._listener.accept()
            packet = packets.receive(stand_in, 4096)
            if packet is None:  # killed meanwhile
                stand_in.close()
                continue
            pid, predecessor = msgspec.msgpack.decode(packet.payload, type=tuple[int, WaitStatus | None])
            if pid in leaks.children_of(self.pid):
                break
            packets.close_all(packet.fds)  # of a keeper that was killed
            stand_in.close()
        return Supervisor(socket.socket(fileno=packet.fds[0]), stand_in, pid, predecessor)

    def replace_supervisor(self) -> None:
        """After the last one was killed."""
        self.supervisor.close()
        self.supervisor = self._next_supervisor()

    # --- sessions ---

    def create(self, session: str, *, log: LogSpec | None = None, **ring: Any) -> None:
        """With a log of its own, unless another one is given."""
        slot = self._slots.setdefault(session, len(self._slots))
        log = log or LogSpec(self.log_dir, f"{session}.log", f"{session}.err.log")
        answer = self.supervisor.ask(Create, session, RingSpec(slot, gating_log=log.required, **ring))
        assert isinstance(answer, Done), answer
        write_sink(self.ring_dir, SinkSpec(session, slot, log))
        self.order(Serve(0, session))

    def start(self, session: str, program: ProgramSpec, **more: Any) -> Started:
        if session not in self._slots:
            self.create(session)
        self._epochs[session] = epoch = self._epochs.get(session, 0) + 1
        self.supervisor.start(session, epoch, program, **more)
        return self.supervisor.expect(Started, session=session, epoch=epoch)

    def wait_end(self, session: str) -> ProgramExited:
        """The program is gone, its output has ended, the end is acknowledged."""
        epoch = self._epochs[session]
        exited = self.supervisor.expect(ProgramExited, session=session, epoch=epoch)
        self.supervisor.ack(exited.seq)
        self.wait_output_ended(session)
        return exited

    def wait_output_ended(self, session: str) -> None:
        """Told already, perhaps to another supervisor, or to be told."""
        if self.supervisor.row(session).output not in _OVER:
            self.supervisor.expect(OutputEnded, session=session, epoch=self._epochs[session])

    def wait_logged(self, session: str, size: int, stream: str = "log") -> bytes:
        """Until the log has so many bytes."""
        path = f"{self.log_dir}/{session}.{stream}"
        wait_until(self.log_dir, lambda: os.path.exists(path) and os.stat(path).st_size >= size, PATIENCE_S)
        return self.log(session, stream)

    def log(self, session: str, stream: str = "log") -> bytes:
        with open(f"{self.log_dir}/{session}.{stream}", "rb") as file:
            return file.read()

    # --- processes ---

    def service_pid(self, name: str) -> int:
        return next(row.pid for row in self.supervisor.table().services if row.name == name)

    def worker_pid(self, session: str) -> int:
        return self.supervisor.row(session).worker_pid

    def order(self, message: Any) -> Any:
        """Of the router; waits until one is there."""
        with contextlib.closing(self.connect_router()) as router:
            router.send(encode(message))
            return decode_from_router(router.recv(1 << 17))

    def connect_router(self) -> socket.socket:
        path = router_socket_path(self.runtime_dir)
        with Changes(self.runtime_dir) as changes:
            while True:
                try:
                    router = connect_seqpacket(path, timeout_s=PATIENCE_S)
                    break
                except (FileNotFoundError, ConnectionRefusedError):
                    changes.wait(PATIENCE_S)
        router.send(encode(Hello()))
        return router

    def router_status(self) -> RouterStatus:
        return self.order(AskStatus(0))

    # --- the end ---

    def stderr(self) -> str:
        with open(self._stderr_path) as file:
            return file.read()

    def close(self) -> None:
        left = leaks.descendants_of(self.pid)
        self._process.kill()
        self._process.wait()
        leaks.kill_all(left)
        leaks.reap_orphans()
        self.supervisor.close()
        self._listener.close()


@contextlib.contextmanager
def running_fleet(shm_dir: str, log_dir: str, **installation: Any) -> Iterator[RunningFleet]:
    fleet = RunningFleet(shm_dir, log_dir, **installation)
    try:
        yield fleet
    except BaseException:
        print(fleet.stderr(), file=sys.stderr)
        raise
    finally:
        fleet.close()
