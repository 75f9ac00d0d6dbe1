"""Short sessions to their last byte, however they end. The long form is `python -m tests.chaos.drain_matrix`."""

import os

import pytest

from childproc.spec import Io
from ipc.frames import EndReason, Kind
from tests.chaos.drain_matrix import CELLS, Ending, Mode, run
from tests.support.worker_process import actor, lines

_BOTH_STREAMS = "import os\nfor n in range(2000): os.write(1, b'%015x\\n' % n); os.write(2, b'%015x\\n' % (n + 7))\n"


@pytest.mark.slow
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("ending", Ending)
def test_every_byte_and_one_end(shm_dir, ending, mode):
    """For each size: all bytes, the right reason, BEGIN and END once, and a worker that does not spin."""
    for cell in (cell for cell in CELLS if (cell.ending, cell.mode) == (ending, mode)):
        os.mkdir(f"{shm_dir}/{cell}")
        run(cell, f"{shm_dir}/{cell}")


@pytest.mark.parametrize("io", Io)
def test_the_leaders_end_is_not_the_outputs_end(rig, fifo, io):
    """An orphan that holds the other end goes on; what it writes is marked; its end is the output's."""
    held = rig(["sh", "-c", f"trap '' HUP; (read x < {fifo}; printf late) & printf early; exit 3"], io=io)
    held.until(lambda: held.program_status == 3)
    held.until(lambda: held.out.data == b"early")
    held.until(held.worker_knows_of_the_leaders_end, look_every_s=0.002)
    assert held.ledger.kinds() == [Kind.BEGIN]
    with open(fifo, "w") as go:
        go.write("go\n")
    held.until_ended()
    assert (held.out.data, held.out.orphaned, held.ledger.end()) == (b"earlylate", b"late", EndReason.EOF)


def test_an_orphan_that_never_stops_writing(rig):
    """It has its linger, then the output ends: DRAINED, with all of the leader's own bytes."""
    script = f"trap '' HUP; {actor()} exit 65536 cooked; yes & exit 0"
    endless = rig(["sh", "-c", script], orphan_linger_s=0.1)
    endless.until_ended()
    assert endless.ledger.end() is EndReason.DRAINED
    own = lines(65536).replace(b"\n", b"\r\n")
    assert endless.out.data[: len(own)] == own
    assert set(endless.out.data[len(own) :]) <= set(b"y\r\n")


def test_what_stands_behind_a_full_ring_is_read_although_the_linger_is_over(rig):
    """The reader comes back long after leader and linger, while somebody holds the terminal: the leader's last bytes
    are there, and then the end. The worker slept meanwhile."""
    size_bytes = 68_000  # more than the ring takes, and less than ring and terminal together
    script = f"trap '' HUP; sleep 1000 & exec {actor()} exit {size_bytes} cooked"
    full = rig(["sh", "-c", script], orphan_linger_s=0.05, worker_too=False)
    full.reading = False
    full.start_worker()
    full.until(lambda: full.program_status == 0)
    full.until(full.worker_knows_of_the_leaders_end, look_every_s=0.002)
    full.until_idle_for(0.3)
    full.reading = True
    full.until_ended()
    assert full.out.data == lines(size_bytes).replace(b"\n", b"\r\n")
    assert full.ledger.end() is EndReason.DRAINED


def test_stdout_and_stderr_of_a_pipe_session(rig):
    """Two streams, each complete, each with offsets of its own; stdin's end does not end them."""
    both = rig(["python3", "-S", "-c", _BOTH_STREAMS], io=Io.PIPE)
    both.until_ended()
    assert both.out.data == lines(32000)
    assert both.err.data == lines(32000 + 7 * 16)[7 * 16 :]
    assert both.ledger.end() is EndReason.EOF


def test_a_worker_that_starts_after_the_program_is_gone(rig):
    """What was written waits in the kernel; nobody has to be quick."""
    gone = rig([actor(), "exit", "4096", "raw"], worker_too=False)
    gone.until(lambda: gone.program_status == 0)
    gone.start_worker()
    gone.until_ended()
    assert (gone.out.data, gone.ledger.end()) == (lines(4096), EndReason.EOF)
