"""ring_memory over real processes: what all rings of a fleet may take together, changed while they grow."""

import os
import signal
from pathlib import Path

from ipc.ring_layout import MIN_DATA_BYTES, segment_bytes
from supervisor.control.messages import Update
from tests.support.changes import Changes, wait_until
from tests.support.daemon import PATIENCE_S, running_daemon

SMALLEST_BYTES = segment_bytes(MIN_DATA_BYTES)
FLOOD = """
[session.quiet]
command = ["sleep", "1000"]

[session.flood]
command = ["sh", "-c", "exec yes"]
ring = { size = "64K", max_size = "8M" }
start_seconds = 0.1
"""


def ring_memory(size_bytes: int) -> str:
    return f"ring_memory = {size_bytes}\n"


def test_a_session_whose_ring_has_no_room_says_which_number_to_change(tmp_path: Path) -> None:
    """The others run. With a higher cap, by an update, there is room for the next."""
    a, b, c = (
        f'[session.{name}]\ncommand = ["sleep", "1000"]\nstart_seconds = 0.1\nrestart = "never"\n' for name in "abc"
    )
    with running_daemon(tmp_path, f"rings-{os.getpid()}", ring_memory(SMALLEST_BYTES) + a) as daemon:
        daemon.wait_state("a", "RUNNING")
        daemon.write(ring_memory(SMALLEST_BYTES) + a + b)
        daemon.stream(Update(1))
        refused = daemon.wait_state("b", "FATAL")
        assert refused.exit is not None
        assert "raise fleet.ring_memory" in str(refused.exit["message"])
        daemon.write(ring_memory(2 * SMALLEST_BYTES) + a + c)
        daemon.stream(Update(1))
        daemon.wait_state("c", "RUNNING")


def test_rings_do_not_grow_beyond_it(tmp_path: Path) -> None:
    """A log that lags makes one grow; what would be too much is prepared, and removed again."""
    name = f"rings-{os.getpid()}"
    ring_dir = f"/dev/shm/ringvisor-{os.geteuid()}-{name}"
    grown_bytes = segment_bytes(4 * MIN_DATA_BYTES)
    cap_bytes = 2 * SMALLEST_BYTES + grown_bytes  # it may grow once: the old file is there until the new one is ready
    with running_daemon(tmp_path, name, ring_memory(cap_bytes) + FLOOD) as daemon:
        router = daemon.status().fleet.processes["router"]
        with Changes(ring_dir) as changes:
            os.kill(router, signal.SIGSTOP)
            while not (_refused(changes) and _in_use(ring_dir) > 2 * SMALLEST_BYTES):
                pass
        assert _in_use(ring_dir) == SMALLEST_BYTES + grown_bytes
        os.kill(router, signal.SIGCONT)
        log = Path(tmp_path, "logs", "flood.log")
        wait_until(f"{tmp_path}/logs", lambda: log.exists() and log.stat().st_size > grown_bytes)


def _refused(changes: Changes) -> bool:
    return any(name.endswith(".ring.next") for name in changes.wait(PATIENCE_S))


def _in_use(ring_dir: str) -> int:
    """Without what is only being prepared."""
    return sum(path.stat().st_size for path in Path(ring_dir).glob("*.ring"))
