"""The router is killed again and again under full load, its writers now and then: no byte is lost or doubled.

python -m tests.chaos.router_storm [KILLS] [SEED]
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from ipc.frames import Kind
from ipc.log_reader import read_stream
from ipc.log_retention import LogPolicy
from ipc.log_verify import verify_log
from tests.support import leaks
from tests.support.router_process import Installation, installation, stream

_SESSIONS = (("plain", 0), ("rotating", 1))
_KILLS_A_WRITER = 10


def storm(router: Installation, *, kills: int, seed: int) -> dict[str, int]:
    """Of a router that runs. Returns how many bytes each session wrote."""
    rng = random.Random(seed)
    router.create("plain", max_bytes=1 << 18)
    router.create("rotating", log=router.log("rotating", policy=LogPolicy(max_bytes=3_000_000)), max_bytes=1 << 18)
    load = router.forks.fork("load", router.ring_dir, _SESSIONS, seed)
    for kill in range(1, kills + 1):
        router.kill()
        router.start()
        if kill % _KILLS_A_WRITER == 0:
            router.forks.kill(load)
            load = router.forks.fork("load", router.ring_dir, _SESSIONS, seed + kill)
        _let_grow(router, rng.choice((1, 1, 50_000, 400_000)))
    assert router.forks.kill(load, 15) == 0
    return {name: _assert_exact(router, name) for name, _ in _SESSIONS}


def _let_grow(router: Installation, most_bytes: int) -> None:
    path = Path(router.log_dir, "plain.log")
    before = path.stat().st_size if path.exists() else 0
    router.wait_in(router.log_dir, lambda: path.exists() and path.stat().st_size >= before + most_bytes)


def _assert_exact(router: Installation, session: str) -> int:
    """Against what was written, byte for byte; the index states no gap and no doubt."""
    for kind, suffix in ((Kind.OUT, "log"), (Kind.ERR, "err.log")):
        log, end = f"{session}.{suffix}", router.written(session, kind)
        router.wait_in(router.log_dir, lambda: verify_log(router.log_dir, log).count >= end)  # noqa: B023 - at once
        offset = 0
        for found, data in read_stream(router.log_dir, log, 1):
            assert found == offset, f"{log}: {offset} is followed by {found}"
            assert data == stream(kind, 1, offset, offset + len(data)), f"{log}: wrong bytes at {offset}"
            offset += len(data)
        report = verify_log(router.log_dir, log)
        assert (offset, report.gaps, report.problems, report.foreign_bytes) == (end, [], [], 0)
    return router.written(session)


def main(kills: int = 500, seed: int = 1) -> None:
    leaks.become_subreaper()
    with (
        tempfile.TemporaryDirectory() as log_dir,
        tempfile.TemporaryDirectory(dir=leaks.SHARED_MEMORY) as shm_dir,
        installation(shm_dir, log_dir) as router,
    ):
        router.start()
        began_s = time.monotonic()
        written = storm(router, kills=kills, seed=seed)
        seconds = time.monotonic() - began_s
    killed = f"{kills} routers and {kills // _KILLS_A_WRITER} writers killed in {seconds:.0f} s"
    print(f"{killed}: {sum(written.values()) / 1e6:.0f} MB exact")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
