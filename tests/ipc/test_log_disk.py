"""All logs together below a cap: what goes, what never goes, and what is said of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.caps import Cap, write_cap
from ipc.log_disk import keep_below
from ipc.log_retention import LogPolicy, Retention, RotatedPart, oldest_first
from ipc.log_sink import LogSink
from ipc.log_verify import verify_log
from ipc.sink_spec import LogSpec
from tests.ipc.log_support import at
from tests.support.changes import wait_until
from tests.support.router_process import Installation, installation


def test_the_oldest_go_first_but_none_before_the_older_ones_of_its_log() -> None:
    """A log has no hole in its middle, whatever somebody did to the times of its files."""
    rotated = {
        "a": [RotatedPart(2, 1, 5), RotatedPart(1, 1, 40)],
        "b": [RotatedPart(1, 1, 10), RotatedPart(2, 1, 50)],
    }
    order = [(log, part.number) for log, part in oldest_first(rotated)]
    assert order == [("b", 1), ("a", 1), ("a", 2), ("b", 2)]


def write_log(directory: Path, name: str, size: int, second: int) -> None:
    """In parts of 10 KB that end in this second."""
    sink = LogSink.open(directory, name, LogPolicy(max_bytes=10_000), at(second))
    assert sink.append(1, 0, [memoryview(bytes(size))], at(second)) == size
    sink.close(at(second))


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def test_logs_are_brought_below_the_cap_and_not_further(tmp_path: Path) -> None:
    for name in ("a.log", "b.log"):
        write_log(tmp_path, name, 55_000, 1)
    cap_bytes = 80_000
    pruned = keep_below([str(tmp_path), str(tmp_path)], cap_bytes)
    assert cap_bytes - 11_000 < size_of(tmp_path) <= cap_bytes
    assert (len(pruned.deleted), pruned.over_bytes) == (4, 0)
    assert not keep_below([str(tmp_path)], cap_bytes).deleted
    for name in ("a.log", "b.log"):
        assert not verify_log(tmp_path, name).problems


def test_what_is_being_written_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    write_log(tmp_path, "a.log", 25_000, 1)
    (tmp_path / "syslog.000001").write_bytes(bytes(50_000))  # no index beside it
    pruned = keep_below([str(tmp_path)], 1)
    assert pruned.deleted == ["a.log.000001", "a.log.000002"]
    assert pruned.over_bytes > 5000 - 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.idx", "syslog.000001"]


@pytest.fixture
def router(shm_dir: str, tmp_path: Path) -> Iterator[Installation]:
    with installation(shm_dir, str(tmp_path)) as running:
        yield running


def until_said(router: Installation, words: str) -> None:
    wait_until(router.runtime_dir, lambda: words in router.reports())


def test_a_router_keeps_the_logs_of_all_sessions_below_the_cap(router: Installation) -> None:
    """A session that rotates makes the parts of one go that wrote long ago; what went is said."""
    write_cap(router.ring_dir, Cap.LOGS, 100_000)
    router.start()
    spec = {"policy": LogPolicy(max_bytes=10_000), "retention": Retention(), "compress": False}
    for name in ("old", "new"):
        writer = router.session(name, log=LogSpec(router.log_dir, f"{name}.log", f"{name}.err.log", **spec))
        writer.write(75_000)
        writer.close()
    logs = Path(router.log_dir)
    wait_until(str(logs), lambda: not (logs / "old.log.000001").exists())
    wait_until(str(logs), lambda: size_of(logs) <= 100_000)
    assert (logs / "new.log.000007").exists()
    until_said(router, "fleet.log_disk_max: deleted old.log.000001")
