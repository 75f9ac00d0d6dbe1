"""A real keeper process with the test as its supervisor."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from childproc.spec import ProgramSpec
from ipc.bell import make_bell
from ipc.ring_spec import RingSpec
from supervisor.keeper import packets
from supervisor.keeper.messages import (
    VERSION,
    Ack,
    Answer,
    Create,
    Done,
    Event,
    GetTable,
    Hello,
    OutputEnded,
    ProgramExited,
    Refused,
    Request,
    SessionRow,
    Start,
    TableReport,
    WaitStatus,
    decode_event,
    encode,
)
from tests.support import leaks
from tests.support.keeper_process import Options

PATIENCE_S = 20.0
PATH = b"/usr/local/bin:/usr/bin:/bin"
Message = Event | Answer
M = TypeVar("M", bound=Event | Answer)


def program(*argv: str | bytes, env: Mapping[bytes, bytes] | None = None, **more: Any) -> ProgramSpec:
    return ProgramSpec(tuple(map(os.fsencode, argv)), {b"PATH": PATH, **(env or {})}, **more)


def shell(script: str, **more: Any) -> ProgramSpec:
    return program("sh", "-c", script, **more)


class Supervisor:
    """The test's end of the channel. Messages that nobody waited for stay in `unread`."""

    def __init__(
        self, channel: socket.socket, stand_in: socket.socket, pid: int, predecessor: WaitStatus | None
    ) -> None:
        self.channel, self._stand_in, self.pid, self.predecessor = channel, stand_in, pid, predecessor
        self.unread: list[Message] = []
        self._rid = 0
        self._slot = 0
        channel.settimeout(PATIENCE_S)

    def send(self, request: Request) -> None:
        packets.send(self.channel, encode(request))

    def receive(self) -> Message | None:
        """The next message, None at the end of the connection."""
        packet = packets.receive(self.channel, 16 << 20)
        return decode_event(packet.payload) if packet else None

    def expect(self, kind: type[M], fits: Callable[[M], bool] = lambda _: True, **fields: Any) -> M:
        """The first one of this kind with these fields, read or not yet."""
        for message in self._messages():
            if isinstance(message, kind) and fits(message) and _has(message, fields):
                self.unread.remove(message)
                return message
        raise AssertionError(f"the keeper closed; unread: {self.unread}")

    def _messages(self) -> Iterator[Message]:
        yield from list(self.unread)
        while (message := self.receive()) is not None:
            self.unread.append(message)
            yield message

    def rid(self) -> int:
        self._rid += 1
        return self._rid

    def ask(self, kind: Callable[..., Any], *args: Any, **fields: Any) -> Message:
        """Done, Refused or whatever answers it."""
        rid = self.rid()
        self.send(kind(rid, *args, **fields))
        for message in self._messages():
            if getattr(message, "rid", None) == rid:
                self.unread.remove(message)
                return message
        raise AssertionError(f"the keeper closed; unread: {self.unread}")

    def hello(self) -> TableReport:
        self.send(Hello(VERSION))
        return self.expect(TableReport, rid=0)

    def run(self, session: str, epoch: int, spec: ProgramSpec) -> ProgramExited:
        """From start to the end of the output, all acknowledged."""
        self.start(session, epoch, spec)
        exited = self.expect(ProgramExited, session=session, epoch=epoch)
        self.ack(exited.seq)
        self.expect(OutputEnded, session=session, epoch=epoch)
        return exited

    def create(self, session: str) -> None:
        self._slot += 1
        assert self.ask(Create, session, RingSpec(self._slot)) == Done(self._rid)

    def start(self, session: str, epoch: int, spec: ProgramSpec, **more: Any) -> None:
        self.send(Start(self.rid(), session, epoch, spec, **more))

    def refusal(self, kind: Callable[..., Any], *args: Any, **fields: Any) -> Refused:
        answer = self.ask(kind, *args, **fields)
        assert isinstance(answer, Refused), answer
        return answer

    def ack(self, seq: int) -> None:
        self.send(Ack(seq))

    def table(self) -> TableReport:
        answer = self.ask(GetTable)
        assert isinstance(answer, TableReport)
        return answer

    def row(self, session: str) -> SessionRow:
        return next(row for row in self.table().sessions if row.session == session)

    def close(self) -> None:
        self.channel.close()
        self._stand_in.close()


class KeeperUnderTest:
    def __init__(self, shm_dir: str, *, wrapper: tuple[str, ...] = (), **options: Any) -> None:
        """wrapper: a command that starts the keeper, such as unshare or setpriv."""
        self.ring_dir, self.runtime_dir = f"{shm_dir}/rings", f"{shm_dir}/run"
        os.mkdir(self.ring_dir)
        os.mkdir(self.runtime_dir)
        os.chmod(shm_dir, 0o755)
        for number in range(3):
            make_bell(f"{self.ring_dir}/bell.{number}")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(f"{self.runtime_dir}/test.sock")
        self._listener.listen()
        self._listener.settimeout(PATIENCE_S)
        self._options = Options(self.ring_dir, self.runtime_dir, f"{self.runtime_dir}/test.sock", **options)
        self._supervisors: list[Supervisor] = []
        if self._options.uid:
            for path, _, files in os.walk(shm_dir):
                for name in (".", *files):
                    os.chown(f"{path}/{name}", self._options.uid, self._options.uid)
        self._process = self._launch(wrapper)
        self.pid = self._process.pid

    def _launch(self, wrapper: tuple[str, ...]) -> "subprocess.Popen[bytes]":
        options = msgspec.json.encode(self._options).decode()
        with open(f"{self.runtime_dir}/stderr", "w") as stderr:
            command = [*wrapper, sys.executable, "-m", "tests.support.keeper_process", options]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)

    def supervisor(self) -> Supervisor:
        """The next one that the keeper starts."""
        stand_in, _ = self._listener.accept()
        packet = packets.receive(stand_in, 4096)
        assert packet
        pid, predecessor = msgspec.msgpack.decode(packet.payload, type=tuple[int, WaitStatus | None])
        found = Supervisor(socket.socket(fileno=packet.fds[0]), stand_in, pid, predecessor)
        self._supervisors.append(found)
        return found

    def stderr(self) -> str:
        with open(f"{self.runtime_dir}/stderr") as stderr:
            return stderr.read()

    def write(self, name: str, content: str) -> None:
        with open(f"{self.runtime_dir}/{name}", "w") as file:
            file.write(content)

    def output(self, session: str, stream: str = "out") -> bytes:
        with contextlib.suppress(FileNotFoundError), open(f"{self.ring_dir}/{session}.{stream}", "rb") as file:
            return file.read()
        return b""

    def fds(self) -> dict[int, str]:
        found = {}
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found[int(fd)] = os.readlink(f"/proc/{self.pid}/fd/{fd}")
        return found

    def wait(self) -> int:
        return self._process.wait(PATIENCE_S)

    def close(self) -> None:
        left = leaks.descendants_of(self.pid)
        self._process.kill()
        self._process.wait()
        leaks.kill_all(left)
        leaks.reap_orphans()
        for supervisor in self._supervisors:
            supervisor.close()
        self._listener.close()


@contextlib.contextmanager
def running_keeper(shm_dir: str, **options: Any) -> Iterator[KeeperUnderTest]:
    keeper = KeeperUnderTest(shm_dir, **options)
    try:
        yield keeper
    except BaseException:
        print(keeper.stderr(), file=sys.stderr)
        raise
    finally:
        keeper.close()


def _has(message: Message, fields: Mapping[str, Any]) -> bool:
    return all(getattr(message, name) == value for name, value in fields.items())
