"""What the supervisor asks of the router, what it answers, and how it ends."""

import ctypes
import os
import random
import resource
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ipc.frames import Kind
from ipc.log_retention import LogPolicy, Retention
from ipc.log_verify import verify_log
from ipc.ring_dir import sink_path
from ipc.router_messages import (
    AskStatus,
    Done,
    Drop,
    Failed,
    Goodbye,
    Hello,
    Serve,
    Since,
    Subscribe,
    decode_from_router,
    encode,
)
from ipc.sink_spec import LogSpec, SinkSpec, write_sink
from ipc.unix_socket import connect_seqpacket
from tests.support.disks import cpu_seconds
from tests.support.router_process import Installation, installation, stream

CYCLES = 500 if os.environ.get("RINGVISOR_LONG") else 100


@pytest.fixture
def router(shm_dir: str, tmp_path: Path) -> Iterator[Installation]:
    with installation(shm_dir, str(tmp_path)) as running:
        running.start()
        yield running


def answer(connection: socket.socket) -> object:
    return decode_from_router(connection.recv(1 << 17))


def files(router: Installation) -> set[str]:
    return set(os.listdir(router.log_dir))


# --- logs ---


def test_rotate_is_done_when_it_is_answered_and_the_part_is_compressed(router: Installation) -> None:
    """Also that of a session that writes nothing any more."""
    writer = router.session("a", log=router.log("a", policy=LogPolicy(max_bytes=10**9)))
    writer.write(1000)
    router.wait_logged("a", 1000)
    assert router.log_order("rotate", ["a"]) == Done(7)
    assert Path(router.log_dir, "a.log").stat().st_size == 0
    router.wait_in(router.log_dir, lambda: "a.log.000001.zst" in files(router) and "a.log.000001" not in files(router))
    assert verify_log(router.log_dir, "a.log").count == 1000


def test_clear_and_rotate_some_or_all(router: Installation) -> None:
    for name in ("a", "b"):
        router.session(name).write(1000)
        router.wait_logged(name, 1000)
    assert router.log_order("clear", ["a"]) == Done(7)
    assert [Path(router.log_dir, f"{name}.log").stat().st_size for name in ("a", "b")] == [0, 1000]
    assert router.log_order("clear") == Done(7)
    assert Path(router.log_dir, "b.log").stat().st_size == 0


def test_reopen_after_somebody_renamed_the_file(router: Installation) -> None:
    writer = router.session("a")
    writer.write(1000)
    router.wait_logged("a", 1000)
    for suffix in ("", ".idx"):
        os.rename(f"{router.log_dir}/a.log{suffix}", f"{router.log_dir}/old{suffix}")
    assert router.log_order("reopen", ["a"]) == Done(7)
    writer.write(500)
    assert router.wait_logged("a", 500) == stream(Kind.OUT, 1, 1000, 1500)


def test_parts_left_by_a_dead_router_are_tidied_by_the_next(router: Installation) -> None:
    log = router.log("a", policy=LogPolicy(max_bytes=1000), retention=Retention(keep=2))
    writer = router.session("a", log=log)
    router.kill()
    writer.write(5000)
    plain = router.log("a", policy=LogPolicy(max_bytes=1000), compress=False)
    router.change("a", plain)
    router.start()
    router.wait_in(router.log_dir, lambda: "a.log.000004" in files(router))
    router.kill()
    router.change("a", log)
    router.start()
    tidy = {"a.log.000003.zst", "a.log.000004.zst"}
    router.wait_in(router.log_dir, lambda: {f for f in files(router) if ".0" in f and ".idx" not in f} == tidy)


def test_an_order_to_nobody_says_so(router: Installation) -> None:
    assert router.log_order("rotate", ["nobody"]) == Failed(7, "no such session, or it has no log: nobody")
    assert isinstance(router.log_order("burn"), Failed)
    assert router.order(Drop(3, "nobody")) == Done(3)


def test_a_failing_log_is_named_in_the_answer_and_in_the_status(router: Installation, tmp_path: Path) -> None:
    router.session("a", log=router.log("a", str(tmp_path / "nowhere")))
    failed = router.log_order("rotate", ["a"])
    assert isinstance(failed, Failed)
    assert "log of a: " in failed.reason
    assert {status.session for status in router.status().failing} == {"a"}


# --- sinks ---


@pytest.mark.parametrize(
    "change",
    [
        {"slot": 4096},
        {"slot": -1},
        {"version": 99},
        {"session": "another"},
        {"log": {"directory": "/tmp", "name": "../x", "err_name": ""}},
        {"log": {"directory": "/tmp", "name": "", "err_name": ""}},
        {"log": {"directory": "/tmp", "name": "a", "err_name": "a"}},
        {"log": {"directory": "", "name": "a", "err_name": ""}},
        {"log": {"directory": "/t\0mp", "name": "a", "err_name": ""}},
        b"no msgpack",
        b"",
    ],
)
def test_a_malformed_sink_file_is_refused_and_costs_nobody_else(router: Installation, change: object) -> None:
    """Told by order, and found at the next start."""
    router.session("good")
    bad = {"session": "bad", "slot": 7, "log": None} | (change if isinstance(change, dict) else {})
    raw = change if isinstance(change, bytes) else msgspec.msgpack.encode(bad)
    Path(sink_path(router.ring_dir, "bad")).write_bytes(raw)
    assert isinstance(router.order(Serve(1, "bad")), Failed)
    router.kill()
    router.start()
    assert router.order(Serve(2, "good")) == Done(2)
    assert "session bad is not served" in router.reports()


def test_a_slot_belongs_to_one_session(router: Installation) -> None:
    router.session("first")
    write_sink(router.ring_dir, SinkSpec("second", router.slot("first"), router.log("second")))
    failed = router.order(Serve(1, "second"))
    assert isinstance(failed, Failed)
    assert "which is that of first" in failed.reason
    assert router.order(Drop(2, "first")) == Done(2)


def test_impossible_policies_set_one_session_aside(router: Installation) -> None:
    """The sink's reader cannot know everything that makes no sense."""
    router.create("odd", log=router.log("odd", policy=LogPolicy(mode=2**40)))
    assert isinstance(router.order(Serve(1, "odd")), Failed)
    router.session("even").write(10)
    router.wait_logged("even", 10)


# --- clients ---


def test_a_wrong_version_is_sent_away_with_a_reason(router: Installation) -> None:
    connection = router.connect()
    connection.send(encode(Hello(99)))
    goodbye = answer(connection)
    assert isinstance(goodbye, Goodbye)
    assert "version 99" in goodbye.reason
    assert connection.recv(10) == b""


@pytest.mark.parametrize(
    "packet",
    [
        b"\0",
        b"garbage",
        encode(Subscribe("x", Since(0, 0))).replace(b"\xa1x", b"\xa1/"),
        encode(Serve(1, "x")).replace(b"\xa1x", b"\xa1\0"),
        b"\x91" * 100_000,
        random.Random(1).randbytes(1000),
    ],
)
def test_garbage_is_answered_with_goodbye(router: Installation, packet: bytes) -> None:
    connection = router.connect()
    connection.send(packet)
    assert isinstance(answer(connection), Goodbye)
    assert router.status().subscribers == 0


def test_orders_before_hello_and_after_subscribe_are_refused(router: Installation) -> None:
    router.session("s")
    early = connect_seqpacket(f"{router.runtime_dir}/router.sock")
    with early:
        early.send(encode(AskStatus(1)))
        assert isinstance(answer(early), Goodbye)
    subscriber = router.subscribe("s")
    subscriber.socket.send(encode(AskStatus(1)))
    subscriber.until(lambda: subscriber.goodbye is not None)


def test_a_client_that_reads_no_answer_is_let_go(router: Installation) -> None:
    connection = router.connect()
    connection.setblocking(False)
    try:
        for _ in range(100_000):
            connection.send(encode(AskStatus(1)))
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    assert router.status().id == 1


def test_without_descriptors_who_knocks_waits_until_there_is_one(router: Installation) -> None:
    """It does not spin meanwhile, and serves those that are connected."""
    inside = router.connect()
    inside.send(encode(AskStatus(4)))
    answer(inside)
    used = max(map(int, os.listdir(f"/proc/{router.pid}/fd"))) + 1
    resource.prlimit(router.pid, resource.RLIMIT_NOFILE, (used, 10_000))
    knocking = [router.connect() for _ in range(20)]
    for connection in knocking:
        connection.send(encode(AskStatus(6)))
    before_s = cpu_seconds(router.pid)
    while select.select([knocking[-1]], [], [], 1.0)[0]:
        knocking.append(router.connect())
    assert cpu_seconds(router.pid) - before_s < 0.2
    inside.send(encode(AskStatus(5)))
    assert answer(inside).id == 5  # type: ignore[attr-defined]
    resource.prlimit(router.pid, resource.RLIMIT_NOFILE, (10_000, 10_000))
    assert answer(knocking[-1]).id == 6  # type: ignore[attr-defined]


def test_a_thousand_files_are_no_limit(router: Installation) -> None:
    """It takes as many descriptors as it may have: a fleet's logs are more than a shell's default."""
    soft, hard = resource.prlimit(router.pid, resource.RLIMIT_NOFILE)
    assert soft == hard


# --- leaks ---


@pytest.mark.slow
def test_many_serves_drops_and_subscriptions_leave_nothing(router: Installation) -> None:
    """Descriptors, mappings and threads are as many as before."""
    writer = router.session("s", max_bytes=65536)

    def cycle(times: int) -> None:
        for _ in range(times):
            assert router.order(Serve(1, "s")) == Done(1)
            with router.paused():
                writer.fill()
                assert writer.ring.prepare_wait()
            assert select.select([writer.bell], [], [], 20)[0]
            writer.bell.hush()
            writer.ring.end_wait()
            subscriber = router.subscribe("s", Since(1, 0))
            subscriber.until(lambda s=subscriber: s.live)  # type: ignore[misc]
            subscriber.socket.close()
            router.subscribe("nobody").socket.close()
            assert router.order(Drop(1, "s")) == Done(1)

    cycle(20)
    before = footprint(router.pid)
    cycle(CYCLES)
    after = footprint(router.pid)
    assert all(now <= then + 3 for now, then in zip(after, before, strict=True)), (before, after)


def footprint(pid: int) -> tuple[int, int, int]:
    with open(f"/proc/{pid}/maps") as maps:
        mappings = sum(1 for line in maps if ".ring" in line)
    return len(os.listdir(f"/proc/{pid}/fd")), mappings, len(os.listdir(f"/proc/{pid}/task"))


# --- the end ---


def test_sigterm_writes_what_there_is_and_vouches_for_it(router: Installation) -> None:
    writers = [router.session(f"t{n}") for n in range(10)]
    with router.paused():
        for writer in writers:
            writer.write(20_000)
        os.kill(router.pid, signal.SIGTERM)
    assert router.wait() == 0
    for number in range(10):
        report = verify_log(router.log_dir, f"t{number}.log")
        assert (report.count, report.unchecked_bytes, report.problems) == (20_000, 0, [])


def test_sigterm_ends_it_whichever_thread_gets_it(router: Installation) -> None:
    """The kernel prefers the main thread, but not always, and only that one runs Python's handlers."""
    router.session("s").write(1)
    router.wait_logged("s", 1)
    router.status()  # the main thread goes back to sleep after this
    lane = next(int(thread) for thread in os.listdir(f"/proc/{router.pid}/task") if int(thread) != router.pid)
    ctypes.CDLL(None).tgkill(router.pid, lane, signal.SIGTERM)
    assert router.wait() == 0


def test_sigterm_ends_it_under_a_load_that_never_ends(router: Installation) -> None:
    router.create("load")
    assert router.order(Serve(1, "load")) == Done(1)
    load = router.forks.fork("load", router.ring_dir, [("load", 0)], 1, 0)
    router.wait_logged("load", 1_000_000)
    assert router.kill(signal.SIGTERM) == 0
    router.forks.kill(load)


def test_a_second_router_is_refused_and_the_first_runs_on(router: Installation) -> None:
    router.status()
    first = router.pid
    router.start()
    second, router.pid = router.pid, first
    assert os.waitstatus_to_exitcode(router.forks.wait(second)) == 1
    assert "another router serves" in router.reports()
    router.session("s").write(10)
    router.wait_logged("s", 10)


def test_logs_of_two_sessions_in_one_file_are_refused_and_stated(router: Installation) -> None:
    router.session("one")
    router.session("two", log=LogSpec(router.log_dir, "one.log", "two.err.log"))
    assert "another process writes this log" in router.status().failing[0].reason
