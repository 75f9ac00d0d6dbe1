"""Workers die at every moment and are replaced on the same fds: no byte is lost or doubled, no frame told twice."""

import os
import random
import signal
import time

import pytest

from childproc import worker
from childproc.job import WorkerJob
from childproc.spec import Io
from childproc.terminal import Terminal
from ipc import ring_layout as at
from ipc.frames import Begin, EndReason, Kind, Resize, decode_begin, decode_resize
from tests.support.worker_process import WorkerRig, actor, lines

KILLS = 50
# What a mode may write in 50 lives of a worker and more: a pipe is faster than a terminal.
STREAM_BYTES = {"raw": 48 << 20, "cooked": 48 << 20, "pipe": 160 << 20}


def kill_storm(rig: WorkerRig, kills: int) -> None:
    """Each worker works for up to two milliseconds of its life."""
    chance = random.Random(kills)
    for _ in range(kills):
        heard_bytes = len(rig.out.data)
        rig.until(lambda heard=heard_bytes: len(rig.out.data) > heard or rig.program_status is not None)
        until_s = time.monotonic() + chance.random() * 0.002
        while time.monotonic() < until_s:
            rig.read()
        rig.replace_worker()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["raw", "cooked", "pipe"])
def test_killed_at_random_under_full_load(rig, mode):
    """Whatever the kernel had handed over and nobody committed is salvaged: every byte, once, and one END."""
    io = Io.PIPE if mode == "pipe" else Io.PTY
    stream_bytes = STREAM_BYTES[mode]
    session = rig([actor(), "exit", str(stream_bytes), mode], io=io, max_bytes=1 << 18)
    kill_storm(session, KILLS)
    assert session.program_status is None, "the program ended before the storm did"
    session.until_ended()
    expected = lines(stream_bytes)
    assert session.out.data == (expected.replace(b"\n", b"\r\n") if mode == "cooked" else expected)
    assert (session.out.gaps, session.ledger.end()) == ([], EndReason.EOF)
    assert session.words()[at.W_SALVAGED] > 0, "no kill struck between a read and its commit"


@pytest.mark.parametrize("io", Io)
def test_killed_between_the_end_and_its_exit(rig, io):
    """The next one finds END, and leaves without another."""

    def stop_after_end(job: WorkerJob) -> None:
        os._exit = lambda _code: os.kill(os.getpid(), signal.SIGKILL)
        worker.run(job)

    session = rig([actor(), "exit", "100", "pipe"], io=io, run_worker=stop_after_end)
    session.until(lambda: session.worker_status == -signal.SIGKILL)
    session.run_worker = worker.run
    session.start_worker()
    session.until_ended()
    assert session.ledger.end() is EndReason.EOF


def test_killed_between_the_frame_of_a_new_size_and_the_terminal(rig):
    """The ring said what then did not happen: the next worker says what is so."""

    def die_resizing(job: WorkerJob) -> None:
        Terminal.resize = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        worker.run(job)

    session = rig(["cat"], run_worker=die_resizing)
    session.connect().resize(100, 30)
    session.until(lambda: session.worker_status == -signal.SIGKILL)
    session.run_worker = worker.run
    session.start_worker()
    session.until(lambda: len(session.ledger.of_kind(Kind.RESIZE)) == 2)
    sizes = [decode_resize(event.payload) for event in session.ledger.of_kind(Kind.RESIZE)]
    assert sizes == [Resize(100, 30), Resize(80, 24)]
    client = session.connect()
    assert (client.greeting.cols, client.greeting.rows) == (80, 24)
    begin: Begin = decode_begin(session.ledger.events[0].payload)
    assert (begin.cols, begin.rows) == (80, 24)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_the_write_of_an_input(rig, moment):
    """The next worker's greeting says what had gone in for certain, and how much is in doubt: exactly that one write,
    whether it happened or not."""

    def die_writing(job: WorkerJob) -> None:
        write = os.write

        def mortal(fd: int, data: bytes) -> int:
            if bytes(data) == b"second\n":
                if moment == "after":
                    write(fd, data)
                os.kill(os.getpid(), signal.SIGKILL)
            return write(fd, data)

        os.write = mortal
        worker.run(job)

    session = rig(["cat"], io=Io.PIPE, run_worker=die_writing)
    client = session.connect()
    first = client.type(b"first\n")
    second = client.type(b"second\n")
    session.until(lambda: session.worker_status == -signal.SIGKILL)
    session.until(lambda: client.closed)
    assert (first in client.answers, second in client.answers) == (True, False)
    session.run_worker = worker.run
    session.start_worker()
    greeting = session.connect().greeting
    assert (greeting.input_offset, greeting.in_doubt_bytes) == (6, 7)
    other = session.clients[-1]
    third = other.type(b"third\n")
    session.until(lambda: session.out.data.endswith(b"third\n") and third in other.answers)
    assert other.answers[third].input_offset == 12
    assert session.out.data == {"before": b"first\nthird\n", "after": b"first\nsecond\nthird\n"}[moment]


def test_killed_while_an_orphan_goes_on(rig, fifo):
    """The leader is long gone and reaped: the next worker knows, and its output still ends."""
    session = rig(["sh", "-c", f"trap '' HUP; (read x < {fifo}; printf late) & printf early"])
    session.until(lambda: session.program_status == 0)
    for _ in range(3):
        session.until(session.worker_knows_of_the_leaders_end, look_every_s=0.002)
        session.replace_worker()
    session.until(session.worker_knows_of_the_leaders_end, look_every_s=0.002)
    with open(fifo, "w") as go:
        go.write("go\n")
    session.until_ended()
    assert (session.out.data, session.out.orphaned, session.ledger.end()) == (b"earlylate", b"late", EndReason.EOF)


def test_a_full_ring_at_the_begin_of_an_epoch_drops_nothing(rig):
    """A log that is slow, not failed, loses neither what stands in the ring nor the next epoch's BEGIN."""
    session = rig(["cat"], io=Io.PIPE)
    client = session.connect()
    session.reading = False
    slots = at.slots_for(at.MIN_DATA_BYTES)
    while (frames := session.words()[at.W_COMMIT]) < slots - 1:
        client.type(b"%d," % frames)
        session.until(lambda before=frames: session.words()[at.W_COMMIT] > before, look_every_s=0.001)
    session.close_stdin()
    client.end_input()
    session.until(lambda: session.worker_status == 0)
    assert session.words()[at.W_COMMIT] == slots, "END took the last place"
    session.next_epoch(["echo", "next"], Io.PIPE)
    session.until(lambda: session.words()[at.W_WAITING], look_every_s=0.001)
    session.reading = True
    session.until_ended()
    assert session.ledger.kinds() == [Kind.BEGIN, Kind.END] * 2
    first, second = (session.ledger.stream(Kind.OUT, epoch) for epoch in (1, 2))
    assert (first.data, first.gaps) == (b"".join(b"%d," % frame for frame in range(1, slots - 1)), [])
    assert second.data == b"next\n"


def test_a_second_worker_is_refused_as_long_as_the_first_lives(rig):
    """A ring has one writer: exit code 3, and the first goes on."""
    session = rig(["cat"])
    client = session.connect()
    os.close(session.worker_pidfd)
    session.start_worker()
    session.until(lambda: session.worker_status == 3)
    assert "living writer" in session.errors
    session.may_fail = True
    client.type(b"still here\n")
    session.until(lambda: b"still here" in session.out.data)
