"""A full ring: the program waits, or does not, as its policy says; and every byte that is dropped is counted."""

import functools

import pytest

from childproc import worker
from childproc.spec import Io
from ipc import ring_layout as at
from tests.support.worker_process import actor, lines

FLOOD = 8 << 20
FLOODING = [actor(), "exit", str(FLOOD), "raw"]


@pytest.fixture
def unread(rig):
    """A session whose reader does not read."""

    def start(argv=FLOODING, **settings):
        session = rig(argv, worker_too=False, **settings)
        session.reading = False
        session.start_worker()
        return session

    return start


@pytest.mark.parametrize("io", Io)
def test_the_program_waits_for_its_log(unread, io):
    """Held back, asleep, for as long as that takes; then it goes on, and every byte is there."""
    session = unread(io=io)
    session.until(session.is_held_back, look_every_s=0.002)
    session.until_idle_for(0.3)
    assert session.program_status is None
    session.reading = True
    session.until_ended()
    assert (session.out.data == lines(FLOOD), session.out.gaps) == (True, [])


def test_a_reader_that_takes_a_little_now_and_then(unread):
    """It moves, so it is waited for, long beyond the stall limit all in all."""
    session = unread([actor(), "exit", "400000", "raw"], stall_max_s=0.2)
    while not session.out.data.endswith(lines(400_000)[-16:]):
        session.until(lambda: session.is_held_back() or session.program_status is not None, look_every_s=0.002)
        session.read(most_runs=1)
    session.reading = True
    session.until_ended()
    assert (session.out.data == lines(400_000), session.out.gaps) == (True, [])


@pytest.mark.parametrize("io", Io)
def test_a_log_that_has_failed_holds_nobody_for_ever(unread, io):
    """After the stall limit the oldest go; the program ends by itself, and gap and rest make up all it wrote."""
    session = unread(io=io, stall_max_s=0.3)
    session.until(lambda: session.worker_status == 0)
    assert session.program_status == 0
    assert session.words()[at.W_STALLED_SINCE] > 0
    session.reading = True
    session.until_ended()
    (gap,) = session.out.gaps
    assert gap[0] == 0
    assert session.out.data == lines(FLOOD)[gap[1] :]


def test_a_stall_heals_when_the_reader_moves(unread):
    """Then it is waited for again."""
    session = unread(["yes"], stall_max_s=0.3)
    session.until(lambda: session.words()[at.W_STALLED_SINCE] > 0, look_every_s=0.002)
    assert not session.is_held_back()
    session.until(lambda: session.read(most_runs=1), look_every_s=0.002)
    session.until(session.is_held_back, look_every_s=0.002)
    assert session.words()[at.W_STALLED_SINCE] == 0


@pytest.mark.parametrize("io", Io)
@pytest.mark.parametrize("policy", [at.Policy.DROP_OLDEST, at.Policy.DROP_NEWEST])
def test_a_program_that_waits_for_nobody(unread, policy, io):
    """Without a reader it runs to its end at once. What is kept is the end or the beginning, and the loss is exact.
    Only END waits for room where the newest are dropped: it is not worth what was kept."""
    session = unread(policy=policy, io=io)
    session.until(lambda: session.program_status == 0)
    session.until(lambda: session.worker_status == 0 or session.is_held_back(), look_every_s=0.002)
    session.reading = True
    session.until_ended()
    stream, written = session.out, lines(FLOOD)
    assert stream.offset == FLOOD
    assert stream.lost_bytes + len(stream.data) == FLOOD
    assert stream.lost_bytes > FLOOD / 2
    kept = written[-len(stream.data) :] if policy is at.Policy.DROP_OLDEST else written[: len(stream.data)]
    assert stream.data == kept
    assert len(stream.gaps) == 1


def test_a_ring_grows_under_lag_and_shrinks_when_idle(rig):
    """From 64 KB to its maximum before it holds the program back; back to 64 KB once nobody needs it; nothing lost."""
    run = functools.partial(worker.run, shrink_after_s=0.1)
    script = f"stty raw; {actor()} exit {FLOOD} raw; exec cat"
    session = rig(["sh", "-c", script], max_bytes=1 << 20, run_worker=run, worker_too=False)
    session.reading = False
    session.start_worker()
    session.until(session.is_held_back, look_every_s=0.002)
    assert session.words()[at.W_DATA_BYTES] == 1 << 20
    session.reading = True
    session.until(lambda: len(session.out.data) == FLOOD)
    session.until(lambda: session.words()[at.W_DATA_BYTES] == at.MIN_DATA_BYTES, look_every_s=0.002)
    session.until_idle_for(0.3)
    session.connect().type(b"still here")
    session.until(lambda: session.out.data.endswith(b"still here"))
    assert session.out.data[:FLOOD] == lines(FLOOD)
    assert session.out.gaps == []


def test_a_ring_that_somebody_has_yet_to_read_does_not_shrink(rig):
    """Idle means that everything was read."""
    run = functools.partial(worker.run, shrink_after_s=0.05)
    script = f"stty raw; {actor()} exit 700000 raw; exec cat"
    session = rig(["sh", "-c", script], max_bytes=1 << 20, run_worker=run, worker_too=False)
    session.reading = False
    session.start_worker()
    session.until(lambda: session.words()[at.W_DATA_BYTES] == 1 << 20, look_every_s=0.002)
    session.until_idle_for(0.3)
    assert session.words()[at.W_DATA_BYTES] == 1 << 20
    session.reading = True
    session.until(lambda: len(session.out.data) == 700_000)
    assert (session.out.data == lines(700_000), session.out.gaps) == (True, [])
