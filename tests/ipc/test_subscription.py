"""Subscribers of a real router: each byte once and in order, or a gap of its exact size; and nobody waits for them."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc import ring_layout as at
from ipc.frames import Kind, Resize, encode_resize
from ipc.log_retention import LogPolicy
from ipc.ring_file import ring_path
from ipc.ring_layout import Policy
from ipc.router_messages import Done, Drop, LastBytes, LastLines, Origin, Serve, Since, Subscribe, encode
from tests.support.router_process import Installation, Subscriber, Writer, installation, stream

MIB = 1 << 20


@pytest.fixture
def router(shm_dir: str, tmp_path: Path) -> Iterator[Installation]:
    with installation(shm_dir, str(tmp_path)) as running:
        running.start()
        yield running


def resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon"))


def lapped(router: Installation, name: str, size: int, **log: object) -> Writer:
    """A session whose small ring has forgotten its beginning, all of which is in the log."""
    policy = LogPolicy(max_bytes=log.pop("max_bytes", None))  # type: ignore[arg-type]
    spec = router.log(name, policy=policy, **log)
    writer = router.session(name, log=spec, size_bytes=65536, max_bytes=65536)
    writer.write(size)
    return writer


# --- where it begins ---


def test_now_means_from_the_next_byte_on(router: Installation) -> None:
    writer = router.session("s")
    writer.write(5000)
    subscriber = router.subscribe("s")
    assert subscriber.subscribed is not None
    assert (subscriber.subscribed.epoch, subscriber.subscribed.offset) == (1, 5000)
    subscriber.until(lambda: subscriber.live)
    assert subscriber.first is None
    writer.write(1000)
    subscriber.until(lambda: subscriber.at(1, 6000))
    assert subscriber.first == (1, 5000)


@pytest.mark.parametrize(
    ("origin", "first"),
    [
        (Since(0, 0), (1, 0)),
        (Since(1, 0), (1, 0)),
        (Since(1, 12_345), (1, 12_345)),
        (LastBytes(1), (1, 299_999)),
        (LastBytes(250_000), (1, 50_000)),
        (LastBytes(10**9), (1, 0)),
        (Since(1, 10**9), (1, 0)),  # a place that does not exist is one of another life
        (Since(9, 5), (1, 0)),
    ],
)
def test_what_the_ring_no_longer_has_comes_from_the_log(
    router: Installation, origin: Origin, first: tuple[int, int]
) -> None:
    """Replay, then live, without a seam."""
    writer = lapped(router, "s", 300_000)
    subscriber = router.subscribe("s", origin)
    subscriber.until(lambda: subscriber.live)
    assert subscriber.first == first
    assert subscriber.at(1, 300_000)
    writer.write(100)
    subscriber.until(lambda: subscriber.at(1, 300_100))
    assert subscriber.gaps == []


def test_rotated_and_compressed_parts_are_replayed(router: Installation) -> None:
    lapped(router, "s", 300_000, max_bytes=20_000)
    router.wait_in(router.log_dir, lambda: Path(router.log_dir, "s.log.000013.zst").exists())
    subscriber = router.subscribe("s", Since(1, 7))
    subscriber.until(lambda: subscriber.live)
    assert (subscriber.first, subscriber.at(1, 300_000), subscriber.gaps) == ((1, 7), True, [])


def test_earlier_epochs_come_from_the_log_too(router: Installation) -> None:
    """A client that was away while the program was started again misses nothing of either run."""
    writer = lapped(router, "s", 200_000)
    for epoch in (2, 3):
        writer.end()
        writer.begin(epoch)
        writer.write(200_000)
    subscriber = router.subscribe("s", Since(1, 150_000))
    subscriber.until(lambda: subscriber.live)
    assert (subscriber.first, subscriber.at(3, 200_000), subscriber.gaps) == ((1, 150_000), True, [])
    assert subscriber.bytes[Kind.OUT] == 450_000


def test_without_a_log_what_the_ring_forgot_is_a_gap(router: Installation) -> None:
    router.create("s", no_log=True, max_bytes=65536, policy=Policy.DROP_OLDEST)
    writer = router.writer("s")
    writer.begin(1)
    writer.write(300_000)
    subscriber = router.subscribe("s", Since(1, 100))
    subscriber.until(lambda: subscriber.live)
    [(kind, epoch, start, end)] = subscriber.gaps
    assert (kind, epoch, start, subscriber.first) == (Kind.OUT, 1, 100, (1, end))
    assert subscriber.at(1, 300_000)


def test_what_the_log_lost_is_a_gap_of_its_size(router: Installation) -> None:
    writer = lapped(router, "s", 100_000)
    router.wait_logged("s", 100_000)
    assert router.log_order("clear")
    writer.write(200_000)
    subscriber = router.subscribe("s", Since(1, 10))
    subscriber.until(lambda: subscriber.live)
    assert subscriber.gaps == [(Kind.OUT, 1, 10, 100_000)]
    assert subscriber.at(1, 300_000)


def test_a_log_that_cannot_be_read_is_a_gap(router: Installation) -> None:
    writer = lapped(router, "s", 100_000)
    router.wait_logged("s", 100_000)
    os.unlink(f"{router.log_dir}/s.log.idx")
    os.mkdir(f"{router.log_dir}/s.log.idx")
    subscriber = router.subscribe("s", Since(1, 0))
    subscriber.until(lambda: subscriber.live)
    assert [(start, end) for _, _, start, end in subscriber.gaps] == [(0, subscriber.first[1])]  # type: ignore[index]
    writer.write(1)
    subscriber.until(lambda: subscriber.at(1, 100_001))


@pytest.mark.parametrize("count", [0, 1, 2, 10, 300, 2000, 1_000_000])
@pytest.mark.parametrize("size", [3000, 60_000, 1_000_000])
def test_the_last_lines_begin_where_they_begin(router: Installation, count: int, size: int) -> None:
    """Wherever they lie: in the ring, in the log, in both. A last line without its end counts."""
    lapped(router, "s", size, max_bytes=300_000)
    subscriber = router.subscribe("s", LastLines(count))
    subscriber.until(lambda: subscriber.live)
    data = stream(Kind.OUT, 1, 0, size)
    ends = [at + 1 for at in range(size - 1) if data[at] == 10]
    expected = ([0, *ends][-count:] or [0])[0] if count else size
    assert (subscriber.first or (1, size)) == (1, expected)
    assert subscriber.gaps == []


def test_last_lines_when_the_ring_holds_only_stderr(router: Installation) -> None:
    """The newest line of stdout stands in the log, with its end."""
    writer = router.session("s", max_bytes=65536)
    data = stream(Kind.OUT, 1, 0, 10_000)
    end = data.rindex(b"\n") + 1
    writer.write(end)
    writer.write(200_000, Kind.ERR)
    subscriber = router.subscribe("s", LastLines(1))
    subscriber.until(lambda: subscriber.live)
    assert subscriber.first == (1, data.rindex(b"\n", 0, end - 1) + 1)


# --- what it is sent ---


def test_both_streams_and_the_control_frames_in_their_places(router: Installation) -> None:
    writer = router.session("s")
    subscriber = router.subscribe("s", Since(1, 0))
    for size in (80, 100):
        writer.write(1000)
        writer.write(10, Kind.ERR)
        writer.ring.put(Kind.RESIZE, encode_resize(Resize(size, 24)))
    writer.end()
    writer.begin(2)
    writer.write(500)
    subscriber.until(lambda: subscriber.at(2, 500))
    assert subscriber.frames == [
        (Kind.BEGIN, 1, 0),
        (Kind.RESIZE, 1, 1000),
        (Kind.RESIZE, 1, 2000),
        (Kind.END, 1, 2000),
        (Kind.BEGIN, 2, 0),
    ]
    assert subscriber.bytes == {Kind.OUT: 2500, Kind.ERR: 20}
    assert subscriber.gaps == []


def test_five_hundred_subscribers_get_the_same(router: Installation) -> None:
    writer = router.session("s", max_bytes=65536)
    subscribers = [router.subscribe("s") for _ in range(500)]
    assert router.status().subscribers == 500
    for _ in range(20):
        writer.write(1000)
    for subscriber in subscribers:
        subscriber.until(lambda s=subscriber: s.at(1, 20_000))  # type: ignore[misc]
        assert subscriber.gaps == []


def test_a_removed_session_says_goodbye_after_its_last_byte(router: Installation) -> None:
    writer = router.session("s")
    subscriber = router.subscribe("s", Since(1, 0))
    with router.paused():
        writer.write(30_000)
        writer.end()
    router.order(Drop(1, "s"))
    subscriber.until(lambda: subscriber.goodbye is not None)
    assert subscriber.at(1, 30_000)
    assert subscriber.frames[-1] == (Kind.END, 1, 30_000)
    assert subscriber.goodbye == "session s was removed"


def test_an_unknown_session_is_named(router: Installation) -> None:
    subscriber = router.subscribe("nobody")
    assert subscriber.goodbye == "there is no session nobody"


# --- slow, gone and coming back ---


def test_who_never_reads_holds_back_nobody_and_costs_no_memory(router: Installation) -> None:
    """Neither the program nor the log nor another subscriber; what he missed is one exact gap."""
    writer = router.session("s", size_bytes=MIB)
    slow, quick = router.subscribe("s", max_lag_bytes=65536), router.subscribe("s", max_lag_bytes=1 << 30)
    quick.until(lambda: quick.live)
    before = resident_bytes(router.pid)
    for _ in range(64):
        writer.write(MIB // 2)
        quick.until(lambda: quick.at(1, writer.offset(Kind.OUT)))
    assert quick.gaps == []
    assert resident_bytes(router.pid) - before < 4 * MIB
    end = writer.offset(Kind.OUT)
    slow.until(lambda: slow.at(1, end))
    assert len(slow.gaps) >= 1
    assert slow.bytes[Kind.OUT] + sum(gap[3] - gap[2] for gap in slow.gaps) == end
    assert router.wait_logged("s", end)[-1000:] == stream(Kind.OUT, 1, end - 1000, end)


def test_beyond_its_lag_limit_a_subscriber_is_put_half_the_limit_behind(router: Installation) -> None:
    """Although the ring still has everything."""
    writer = router.session("s", size_bytes=8 * MIB)
    subscriber = router.subscribe("s", max_lag_bytes=500_000)
    subscriber.until(lambda: subscriber.live)
    with router.paused():
        writer.write(2 * MIB)
    subscriber.until(lambda: subscriber.at(1, 2 * MIB))
    [(_, _, start, end)] = subscriber.gaps
    assert start == 0
    assert 2 * MIB - 250_000 - 8192 <= end <= 2 * MIB - 250_000 + 8192


def test_disconnecting_in_the_middle_costs_nobody(router: Installation) -> None:
    writer = router.session("s", max_bytes=65536)
    stays = router.subscribe("s")
    for _ in range(50):
        going = router.subscribe("s", Since(1, 0))
        writer.write(10_000)
        going.socket.close()
        end = writer.offset(Kind.OUT)
        stays.until(lambda end=end: stays.at(1, end))  # type: ignore[misc]
    assert stays.gaps == []
    assert router.status().subscribers == 1


def test_reconnecting_with_the_next_offset_misses_nothing(router: Installation) -> None:
    """The router is killed again and again while the session writes; log and ring together have it all."""
    router.create("s", size_bytes=65536, max_bytes=1 << 18)
    assert router.order(Serve(1, "s")) == Done(1)
    load = router.forks.fork("load", router.ring_dir, [("s", 0)], 3)
    first = router.subscribe("s", Since(0, 0))
    first.until(lambda: first.bytes[Kind.OUT] > 100_000)
    seen = first
    for _ in range(20):
        router.kill()
        _read_the_rest(seen)
        router.start()
        place = seen.epoch, seen.next_offset[Kind.OUT] or 0
        seen = router.subscribe("s", Since(*place))
        seen.until(lambda s=seen: s.bytes[Kind.OUT] > 60_000)  # type: ignore[misc]
        assert seen.first == place
        assert [gap for gap in seen.gaps if gap[0] == Kind.OUT] == []
    router.forks.kill(load)


def _read_the_rest(subscriber: Subscriber) -> None:
    while True:
        try:
            subscriber.receive()
        except (AssertionError, ConnectionError):
            return


def test_replay_joins_a_stream_that_is_being_written_fast(router: Installation) -> None:
    """While it reads the log, the ring is lapped many times; the log has what it lost meanwhile."""
    router.create("s", size_bytes=65536, max_bytes=1 << 17)
    assert router.order(Serve(1, "s")) == Done(1)
    load = router.forks.fork("load", router.ring_dir, [("s", 0)], 4)
    for _ in range(8):
        router.wait_logged("s", router.written("s") + 300_000)
        subscriber = router.subscribe("s", Since(1, random.Random(1).randrange(200_000)))
        subscriber.until(lambda s=subscriber: s.live)  # type: ignore[misc]
        assert [gap for gap in subscriber.gaps if gap[0] == Kind.OUT] == []
        subscriber.socket.close()
    router.forks.kill(load)


def test_a_ring_that_laps_a_slow_beginner_is_no_loss_if_there_is_a_log(router: Installation) -> None:
    """He is still reading what was there when he came; what the ring forgets meanwhile the log gives him."""
    writer = router.session("s", size_bytes=MIB)
    writer.write(900_000)
    subscriber = router.subscribe("s", Since(1, 0))
    router.status()
    for _ in range(8):
        writer.write(500_000)
    router.wait_logged("s", 4_900_000)
    subscriber.until(lambda: subscriber.live)
    assert subscriber.gaps == []
    assert subscriber.bytes[Kind.OUT] >= 900_000


def test_the_last_subscriber_to_leave_frees_the_ring(router: Installation) -> None:
    """No bell is rung for nobody, and no mapping is left."""
    writer = router.session("s")
    subscribers = [router.subscribe("s") for _ in range(3)]
    assert writer.ring.memory.q[at.W_FOLLOWERS] == 1
    for subscriber in subscribers:
        subscriber.socket.close()
    while router.status().subscribers:
        pass
    assert writer.ring.memory.q[at.W_FOLLOWERS] == 0


def test_generations_change_under_a_subscriber(router: Installation) -> None:
    """The ring grows and shrinks; nothing is lost or doubled, and the old mappings go."""
    writer = router.session("s", max_bytes=4 * MIB)
    subscriber = router.subscribe("s", max_lag_bytes=1 << 30)
    for _ in range(10):
        with router.paused():
            writer.fill()
        end = writer.offset(Kind.OUT)
        subscriber.until(lambda end=end: subscriber.at(1, end))  # type: ignore[misc]
        router.wait_logged("s", end)
        assert writer.ring.resize(65536)
    writer.write(10)
    subscriber.until(lambda: subscriber.at(1, end + 10))
    assert subscriber.gaps == []
    with open(f"/proc/{router.pid}/maps") as maps:
        assert sum("s.ring" in line for line in maps) <= 4


def test_subscribing_while_the_next_generation_is_not_in_place(router: Installation) -> None:
    """A writer was killed between publishing the move and renaming: the subscriber waits for the next writer."""
    writer = router.session("s", max_bytes=MIB)
    writer.write(1000)
    router.wait_logged("s", 1000)
    path = ring_path(router.ring_dir, "s")
    os.link(path, path + ".old")
    assert writer.ring.resize(MIB)
    os.rename(path, path + ".next")
    os.rename(path + ".old", path)
    subscriber = Subscriber(router.connect())
    subscriber.socket.send(encode(Subscribe("s", Since(1, 0))))
    writer.write(1000)
    status = router.status()
    assert (status.subscribers, status.set_aside_count) == (1, 0)
    writer.close()
    del writer.ring  # its mapping holds the lock, too
    successor = router.writer("s")
    successor.write(1000)
    subscriber.until(lambda: subscriber.at(1, 3000))
    assert router.wait_logged("s", 3000) == stream(Kind.OUT, 1, 0, 3000)
