"""The keeper is killed, and the next one goes on: same programs, same epochs, every byte, every exit status."""

import contextlib
import errno
import os
import random
import select
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from childproc.spec import Io
from childproc.worker import input_socket_path
from ipc import ring_layout as at
from ipc.board import BELLS
from ipc.frames import End, EndReason, Kind, decode_end
from ipc.ring_dir import open_reader_bell
from ipc.ring_file import open_ring
from ipc.ring_memory import RingMemory
from ipc.worker_messages import Refused
from supervisor.fleet_place import FleetPlace, write_place
from supervisor.keeper.messages import (
    CloseStdin,
    Done,
    Exited,
    ProgramExited,
    Reexec,
    Signal,
    Signalled,
    StartFailed,
    Target,
    Unseen,
    WorkerStarted,
)
from tests.chaos.books import EXIT_CODE, balance, build_source
from tests.support.changes import Changes, wait_until
from tests.support.fleet import RunningFleet, running_fleet
from tests.support.keeper import PATIENCE_S, program, shell
from tests.support.worker_client import WorkerClient


@pytest.fixture
def fleet(shm_dir: str, tmp_path: Path) -> Iterator[RunningFleet]:
    with running_fleet(shm_dir, str(tmp_path), steady_s=0.0) as running:
        yield running


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_source(str(tmp_path_factory.mktemp("source")))


def client_of(fleet: RunningFleet, session: str) -> WorkerClient:
    """Of the worker that listens now, or of the next one."""
    with Changes(f"{fleet.runtime_dir}/w") as changes:
        while True:
            try:
                return WorkerClient(input_socket_path(fleet.runtime_dir, session))
            except (FileNotFoundError, ConnectionRefusedError):
                changes.wait(PATIENCE_S)


def type_line(fleet: RunningFleet, session: str, line: bytes) -> None:
    client = client_of(fleet, session)
    client.hello()
    request = client.type(line)
    while not client.has_answers([request]):
        client.receive()
    client.close()


@pytest.mark.parametrize("io", Io)
def test_the_next_keeper_finds_everything_as_it_was(fleet: RunningFleet, io: Io) -> None:
    """Same program, worker and epoch; input, signals, the next worker and the next epoch work as before."""
    started = fleet.start("s", shell("trap 'exit 6' USR1; while read line; do echo got $line; done", io=io))
    worker = fleet.worker_pid("s")
    router = fleet.service_pid("router")
    fleet.kill_keeper()
    fleet.next_keeper()
    row = fleet.supervisor.row("s")
    assert (row.pid, row.worker_pid, row.last_epoch, row.program) == (started.pid, worker, 1, "running")
    type_line(fleet, "s", b"one\n")
    os.kill(worker, signal.SIGKILL)
    assert fleet.supervisor.expect(WorkerStarted, session="s").pid != worker
    type_line(fleet, "s", b"two\n")
    fleet.wait_logged("s", len("got one\ngot two\n"))
    assert b"got two" in fleet.log("s").splitlines()
    assert fleet.service_pid("router") not in (0, router)
    fleet.supervisor.ask(Signal, "s", 1, signal.SIGUSR1, Target.GROUP)
    assert fleet.wait_end("s").status == Exited(6)
    fleet.start("s", shell("exit 4", io=io))
    assert fleet.wait_end("s").status == Exited(4)


def test_keepers_die_under_load_and_the_books_balance(fleet: RunningFleet, source: str, tmp_path: Path) -> None:
    """Programs that write all the time never notice; each byte is in the log once; the status is known."""
    for session, io, rate in (("t", Io.PTY, ()), ("p", Io.PIPE, ("5000",))):
        fleet.start(session, program(source, "write", f"{tmp_path}/{session}.ledger", *rate, io=io))
    before = sorted((row.pid, row.worker_pid) for row in fleet.supervisor.table().sessions)
    for _ in range(4):
        fleet.kill_keeper()
        fleet.next_keeper()
    assert sorted((row.pid, row.worker_pid) for row in fleet.supervisor.table().sessions) == before
    for session in ("t", "p"):
        fleet.supervisor.ask(Signal, session, 1, signal.SIGTERM)
        assert fleet.wait_end(session).status == Exited(EXIT_CODE)
        ledger = tmp_path / f"{session}.ledger"
        fleet.wait_logged(session, int(ledger.read_text()) * 64)
        books = balance(source, str(ledger), fleet.log_dir, session)
        assert books.holds, str(books)


def test_a_keeper_that_dies_while_it_takes_over_leaves_all_to_the_next(
    fleet: RunningFleet, source: str, tmp_path: Path
) -> None:
    """At any line: the one after it finds the same programs and workers, and the end that nobody saw."""
    fleet.start("w", program(source, "write", f"{tmp_path}/w.ledger", "2000"))
    fleet.start("e", shell("read line; exit 3"))
    client_of(fleet, "e").close()
    client_of(fleet, "w").close()
    before = fleet.supervisor.row("w")
    fleet.kill_keeper()
    type_line(fleet, "e", b"go\n")
    wait_until(f"{fleet.runtime_dir}/w", lambda: os.path.exists(f"{fleet.runtime_dir}/w/e.left"))
    line = 10
    while fleet.keeper_that_dies_at(line):
        line += 80
    assert line > 500
    fleet.next_keeper()
    while fleet.service_pid("router") != pid_of_listener(fleet):
        pass
    after = fleet.supervisor.row("w")
    assert (after.pid, after.worker_pid, after.last_epoch) == (before.pid, before.worker_pid, 1)
    assert fleet.wait_end("e").status == Exited(3)
    fleet.supervisor.ask(Signal, "w", 1, signal.SIGTERM)
    assert fleet.wait_end("w").status == Exited(EXIT_CODE)
    fleet.wait_logged("w", int((tmp_path / "w.ledger").read_text()) * 64)
    books = balance(source, f"{tmp_path}/w.ledger", fleet.log_dir, "w")
    assert books.holds, str(books)


def test_a_keeper_that_dies_while_it_starts_a_program_starts_it_at_most_once(
    fleet: RunningFleet, tmp_path: Path
) -> None:
    """At any line of a start: what the next keeper says of it is what the program's own notes say."""
    notes = tmp_path / "notes"
    notes.touch()
    fleet.create("s")
    epoch, line = 1, 1
    while True:
        fleet.kill_keeper()
        fleet.keeper_that_dies_in("Epochs.start", line)
        fleet.supervisor.start("s", epoch, shell(f"echo {epoch} >> {notes}; exit 3"))
        if not fleet.has_died_by_itself():
            break
        fleet.next_keeper()
        row = fleet.supervisor.row("s")
        if row.last_epoch == epoch:
            end = fleet.supervisor.expect(ProgramExited | StartFailed, session="s", epoch=epoch)
            fleet.supervisor.ack(end.seq)
            status = end.status if isinstance(end, ProgramExited) else None
            assert status in (None, Exited(3), Unseen(), Signalled(signal.SIGHUP, core=False)), status
            assert notes.read_text().split().count(str(epoch)) <= (1 if status else 0)
        else:
            assert (row.last_epoch, row.program) == (epoch - 1, "none")
            fleet.supervisor.start("s", epoch, shell(f"echo {epoch} >> {notes}; exit 4"))
            end = fleet.supervisor.expect(ProgramExited, session="s", epoch=epoch)
            fleet.supervisor.ack(end.seq)
            assert end.status == Exited(4)
            assert notes.read_text().split().count(str(epoch)) == 1
        while fleet.supervisor.row("s").program != "none":
            pass
        epoch, line = epoch + 1, line + 31
    assert line > 100


def pid_of_listener(fleet: RunningFleet) -> int:
    """Of the router that serves."""
    with contextlib.closing(fleet.connect_router()) as router:
        return int(struct.unpack("3i", router.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


@pytest.mark.parametrize("order", range(4))
def test_killed_in_any_order_all_is_taken_over(fleet: RunningFleet, source: str, tmp_path: Path, order: int) -> None:
    """Keeper, router, supervisor and, once the next keeper has its fds, its worker: the program notices nothing."""
    fleet.start("s", program(source, "write", f"{tmp_path}/s.ledger", "5000"))
    client_of(fleet, "s").close()
    before = fleet.supervisor.row("s")
    victims = [fleet.pid, fleet.service_pid("router"), fleet.supervisor.pid]
    random.Random(order).shuffle(victims)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    fleet.kill_keeper()
    fleet.next_keeper()
    os.kill(before.worker_pid, signal.SIGKILL)
    after = fleet.supervisor.row("s")
    assert (after.pid, after.last_epoch) == (before.pid, 1)
    fleet.supervisor.ask(Signal, "s", 1, signal.SIGTERM)
    assert fleet.wait_end("s").status == Exited(EXIT_CODE)
    fleet.wait_logged("s", int((tmp_path / "s.ledger").read_text()) * 64)
    books = balance(source, f"{tmp_path}/s.ledger", fleet.log_dir, "s")
    assert books.holds, str(books)


def test_a_pid_that_has_changed_hands_is_left_alone(fleet: RunningFleet) -> None:
    """Pid and start time name a process, and nothing less: neither program, worker nor router is mistaken."""
    fleet.start("s", shell("exec sleep 1000"))
    client_of(fleet, "s").close()
    row = fleet.supervisor.row("s")
    router = fleet.service_pid("router")
    fleet.kill_keeper()
    for pid in (row.worker_pid, row.pid, router):  # the worker first, or it would leave word
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)  # orphans are ours to reap
    bystander = subprocess.Popen(["sleep", "1000"])
    records = Path(fleet.runtime_dir)
    forge(records / "records" / "s.rec", bystander.pid)
    forge(records / "w" / "s.worker", bystander.pid)
    forge(records / "keeper.json", bystander.pid)
    fleet.next_keeper()
    assert fleet.wait_end("s").status == Unseen()
    assert fleet.service_pid("router") != bystander.pid
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
    fleet.start("s", shell("exit 8"))
    assert fleet.wait_end("s").status == Exited(8)


def forge(path: Path, pid: int) -> None:
    """Each process that it names has this pid, as if that one had gone round."""
    codec = msgspec.json if path.suffix == ".json" else msgspec.msgpack
    path.write_bytes(codec.encode(with_pid(codec.decode(path.read_bytes()), pid)))


def with_pid(found: Any, pid: int) -> Any:
    if isinstance(found, dict):
        return {key: pid if key == "pid" else with_pid(value, pid) for key, value in found.items()}
    return found


def make_presentable(fleet: RunningFleet) -> None:
    """What a dry run of the code wants to read: which fleet it is, and its file."""
    config = Path(fleet.runtime_dir, "ringvisor.toml")
    config.write_text('[session.s]\ncommand = ["true"]\n')
    write_place(FleetPlace("test", fleet.runtime_dir, fleet.ring_dir, fleet.runtime_dir, fleet.log_dir, str(config)))


def test_what_was_taken_over_stays_so_over_a_reexec(fleet: RunningFleet) -> None:
    """The pidfds go along: ends of programs and workers that are no children are seen by the new image too."""
    fleet.start("s", shell("read line; exit 6"))
    client_of(fleet, "s").close()
    worker = fleet.worker_pid("s")
    fleet.kill_keeper()
    fleet.next_keeper()
    make_presentable(fleet)
    assert isinstance(fleet.supervisor.ask(Reexec), Done)
    assert fleet.worker_pid("s") == worker
    os.kill(worker, signal.SIGKILL)
    assert fleet.supervisor.expect(WorkerStarted, session="s").pid != worker
    type_line(fleet, "s", b"go\n")
    assert fleet.wait_end("s").status == Exited(6)
    fleet.kill_keeper()
    fleet.next_keeper()
    assert fleet.supervisor.row("s").program == "none"


def test_all_bells_are_rung(fleet: RunningFleet) -> None:
    """Who died with the keeper may have been about to ring one, and somebody may sleep for ever without it."""
    fleet.start("s", program("cat"))
    with contextlib.closing(open_reader_bell(fleet.ring_dir, BELLS - 1)) as bell:
        bell.hush()
        fleet.kill_keeper()
        assert not select.select([bell.fd], [], [], 0)[0]
        fleet.next_keeper()
        assert select.select([bell.fd], [], [], PATIENCE_S)[0]


def test_no_fd_is_lost_or_doubled_by_taking_over(fleet: RunningFleet) -> None:
    """The fourth keeper holds as many as the first, and a program sees none of them."""
    for session, io in (("t", Io.PTY), ("p", Io.PIPE)):
        fleet.start(session, program("cat", io=io))
        client_of(fleet, session).close()
    fleet.kill_keeper()
    fleet.next_keeper()
    counts = []
    for _ in range(3):
        counts.append(settled_fds(fleet))
        fleet.kill_keeper()
        fleet.next_keeper()
    assert len(set(counts)) == 1, counts
    fleet.start("see", shell("ls /proc/$$/fd; :", io=Io.PIPE))
    fleet.wait_end("see")
    assert fleet.wait_logged("see", 6).split() == [b"0", b"1", b"2"]


def settled_fds(fleet: RunningFleet) -> int:
    """When all services run, and have closed what they were started with."""
    while not all(row.pid for row in fleet.supervisor.table().services):
        pass
    return len(os.listdir(f"/proc/{fleet.pid}/fd"))


def test_two_closes_end_an_input_also_when_a_keeper_died_between_them(fleet: RunningFleet) -> None:
    """The keeper's came first. The next one must not have a copy again."""
    fleet.start("s", program("cat", io=Io.PIPE))
    client = client_of(fleet, "s")
    client.hello()
    fleet.supervisor.ask(CloseStdin, "s", 1)
    fleet.kill_keeper()
    fleet.next_keeper()
    client.end_input()
    assert fleet.wait_end("s").status == Exited(0)
    client.close()


def test_a_closed_input_is_not_opened_again(fleet: RunningFleet) -> None:
    """The worker has closed its copy, and the number may be a client's by now: also when it is taken by number."""
    fleet.start("s", shell("cat; echo end of file; read more < /dev/zero", io=Io.PIPE))
    client = client_of(fleet, "s")
    client.hello()
    request = client.end_input()
    while not client.has_answers([request]):
        client.receive()
    clients = [client_of(fleet, "s") for _ in range(4)]
    for one in clients:
        one.hello()
        while one.greeting is None:
            one.receive()
    os.kill(fleet.worker_pid("s"), signal.SIGSTOP)
    fleet.kill_keeper()
    fleet.next_keeper()
    assert "were taken" in fleet.stderr()
    worker = fleet.worker_pid("s")
    os.kill(worker, signal.SIGKILL)
    fleet.supervisor.expect(WorkerStarted, lambda started: started.pid != worker, session="s")
    with contextlib.closing(client_of(fleet, "s")) as last:
        last.hello()
        request = last.type(b"more")
        while not last.has_answers([request]):
            last.receive()
        assert isinstance(last.answers[request], Refused)
    assert fleet.wait_logged("s", len("end of file\n")) == b"end of file\n"
    for one in (client, *clients):
        one.close()


@pytest.mark.parametrize("io", Io)
def test_a_stopped_workers_fds_are_taken(fleet: RunningFleet, io: Io) -> None:
    """It accepts a connection and never answers. The next worker goes on with what was taken from it."""
    fleet.start("s", shell("while read line; do echo got $line; done", io=io))
    client_of(fleet, "s").close()
    worker = fleet.worker_pid("s")
    os.kill(worker, signal.SIGSTOP)
    fleet.kill_keeper()
    fleet.next_keeper()
    assert "does not answer: its fds were taken" in fleet.stderr()
    assert fleet.worker_pid("s") == worker
    os.kill(worker, signal.SIGKILL)
    fleet.supervisor.expect(WorkerStarted, session="s")
    type_line(fleet, "s", b"on\n")
    fleet.wait_logged("s", len("got on\n"))
    assert b"got on" in fleet.log("s").splitlines()


def test_what_ends_while_no_keeper_is_there_is_known(fleet: RunningFleet) -> None:
    """Its worker drains it, and leaves word of how it ended before it goes."""
    for code in (0, 3, 77):
        fleet.start(f"s{code}", shell(f"echo begun; read line; echo last words; exit {code}"))
        fleet.wait_logged(f"s{code}", len("begun\r\n"))
    fleet.kill_keeper()
    for code in (0, 3, 77):
        type_line(fleet, f"s{code}", b"go\n")
        left = f"{fleet.runtime_dir}/w/s{code}.left"
        wait_until(f"{fleet.runtime_dir}/w", lambda left=left: os.path.exists(left))
    fleet.next_keeper()
    for code in (0, 3, 77):
        assert fleet.wait_end(f"s{code}").status == Exited(code)
        assert fleet.log(f"s{code}") == b"begun\r\ngo\r\nlast words\r\n"


def test_an_end_is_told_until_it_is_acknowledged_by_the_next_keeper_too(fleet: RunningFleet) -> None:
    """Once the first keeper has reaped it, its record is all that knows."""
    fleet.start("s", shell("exit 9"))
    exited = fleet.supervisor.expect(ProgramExited, session="s")
    fleet.kill_keeper()
    fleet.next_keeper()
    assert fleet.wait_end("s") == exited
    fleet.kill_keeper()
    fleet.next_keeper()
    assert fleet.supervisor.row("s").program == "none"
    fleet.start("s", shell("exit 1"))
    assert fleet.wait_end("s").status == Exited(1)


def test_keeper_and_worker_killed_together_end_the_terminal_and_lose_no_byte(fleet: RunningFleet) -> None:
    """The program gets SIGHUP as from any terminal that goes away; what its ring held is delivered."""
    fleet.start("s", shell("trap 'exit 5' HUP; seq 1 2000; while :; do sleep 0.01; done"))
    os.kill(fleet.service_pid("router"), signal.SIGSTOP)
    expected = b"".join(b"%d\r\n" % number for number in range(1, 2001))
    ring = open_ring(fleet.ring_dir, "s", writable=False)
    while written_bytes(ring) < len(expected):
        pass
    worker = fleet.worker_pid("s")
    fleet.kill_keeper()
    os.kill(worker, signal.SIGKILL)
    fleet.next_keeper()
    assert fleet.wait_end("s").status in (Exited(5), Unseen())
    assert last_end(open_ring(fleet.ring_dir, "s", writable=False)) == End(EndReason.FAILED, errno.EIO)
    assert fleet.wait_logged("s", len(expected)) == expected
    fleet.start("s", shell("exit 2"))
    assert fleet.wait_end("s").status == Exited(2)


def last_end(ring: RingMemory) -> End:
    last = ring.descriptor(ring.q[at.W_COMMIT] - 1)
    assert last.kind == Kind.END
    start = last.pos & (ring.data_bytes - 1)
    return decode_end(ring.data[start : start + last.length])


def written_bytes(ring: RingMemory) -> int:
    frames = ring.q[at.W_COMMIT]
    last = ring.descriptor(frames - 1) if frames > ring.base_frame else None
    return last.offset + last.length if last and last.kind == Kind.OUT else 0


def test_a_hung_up_program_that_goes_on_is_followed_to_its_end(fleet: RunningFleet) -> None:
    """Its output has ended; its exit is reported all the same."""
    started = fleet.start("s", shell("trap '' HUP; while sleep 0.01; do :; done", io=Io.PIPE))
    worker = fleet.worker_pid("s")
    fleet.kill_keeper()
    os.kill(worker, signal.SIGKILL)
    fleet.next_keeper()
    fleet.wait_output_ended("s")
    assert fleet.supervisor.row("s").pid == started.pid
    fleet.supervisor.ask(Signal, "s", 1, signal.SIGKILL)
    exited = fleet.supervisor.expect(ProgramExited, session="s")
    fleet.supervisor.ack(exited.seq)
    assert fleet.supervisor.row("s").program == "none"
