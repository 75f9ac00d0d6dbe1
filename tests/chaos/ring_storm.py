"""python -m tests.chaos.ring_storm [--kills 500] [--policy block] [--seed N]: SIGKILL for both ends of a real ring.

A program writes a stream whose every byte says where it stands, through a pipe. A writer moves it into a ring, salvage
on, growing and shrinking; a reader takes it out to where it belongs in a file, and writes down which bytes it has
settled; a follower copies and compares. Writer and reader are killed at random moments, reaped, and started again.
Between kills both must get on by themselves: a wake-up that was lost would be healed by the next kill, so they are left
alone again and again until they have moved. At the end every byte is in its place, or in a gap that was counted.
"""

import argparse
import os
import random
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ipc import ring_layout as at
from ipc.board import sleeping_word
from ipc.board_watch import BoardWatch
from ipc.frames import Kind, Resize, encode_resize
from ipc.ring_attach import attach_follower, attach_reader, attach_writer
from ipc.ring_dir import create_ring_dir, open_board, open_reader_bell, open_writer_bell
from ipc.ring_file import create_ring, open_ring
from ipc.ring_memory import RingMemory
from ipc.ring_reader import Copied, Lapped, RingReader
from ipc.ring_spec import RingSpec
from ipc.ring_writer import RingWriter

SESSION, SLOT = "storm", 3
LOG_BELL, FOLLOWER_BELL = 1, 0
PATIENCE_S = 20.0
_SIZE = struct.Struct("<Q")
_SETTLED = struct.Struct("<QQ")
_PERIOD = 1_000_003
_PATTERN = bytes(random.Random(7).choices(range(250), k=_PERIOD)) * 2  # never ends in poison


def pattern(offset: int, length: int) -> bytes:
    """What stands at this place of the stream; at most a period of it."""
    start = offset % _PERIOD
    return _PATTERN[start : start + length]


class StormError(AssertionError):
    pass


@dataclass(frozen=True)
class Storm:
    directory: str
    policy: at.Policy
    seed: int
    kills: int  # of each end

    @property
    def log(self) -> str:
        return f"{self.directory}/log"

    @property
    def settled(self) -> str:
        return f"{self.directory}/settled"


@dataclass(frozen=True)
class Outcome:
    written_bytes: int
    gap_bytes: int
    salvaged_bytes: int
    resizes: int
    writers: int
    readers: int


# --- the processes ---


def _program(writing: int, ordered: int, counting: int, seed: int) -> None:
    """The program: until told to stop; then it says how many bytes there were."""
    rng, offset = random.Random(seed), 0
    while not select.select([ordered], [], [], 0)[0]:
        offset += os.write(writing, pattern(offset, rng.choice((1, 7, 80, 4095, 4096, 30_000, 65_536))))
        if rng.random() < 0.02:
            time.sleep(rng.random() * 0.003)
    os.write(counting, _SIZE.pack(offset))


def _writer(storm: Storm, reading: int, seed: int) -> None:
    rng = random.Random(seed)
    writer = attach_writer(storm.directory, SESSION, SLOT)
    bell = open_writer_bell(storm.directory, SESSION)
    while True:
        window = writer.arm(int(Kind.OUT), rng.choice((4096, 65_536, 1 << 18)))
        if window is None:
            _wait_for_room(writer, bell.fd)
            bell.hush()
            continue
        filled = os.readv(reading, (window,))
        if not filled:
            break
        if filled < len(window) and rng.random() < 0.2 and select.select([reading], [], [], 0)[0]:
            filled += os.readv(reading, (window[filled:],))
        writer.commit(filled)
        if rng.random() < 0.01:
            writer.put(int(Kind.RESIZE), encode_resize(Resize(80, 24)))
        if rng.random() < 0.05 and writer.is_idle():
            writer.resize(at.MIN_DATA_BYTES)
    while not writer.put(int(Kind.END), b"\0\0\0\0"):
        _wait_for_room(writer, bell.fd)
        bell.hush()


def _wait_for_room(writer: RingWriter, bell: int) -> None:
    if not writer.prepare_wait():
        return
    if not select.select([bell], [], [], PATIENCE_S)[0]:
        gate, commit = writer.slowest_gate(), writer.memory.q[at.W_COMMIT]
        if gate is None or gate == commit:
            raise StormError("the writer slept though everything was read")
    writer.end_wait()


def _reader(storm: Storm, seed: int) -> None:
    """As a log lane does it, but that nobody looks at the rings themselves after a bell."""
    rng = random.Random(seed)
    reader = attach_reader(storm.directory, SESSION, at.ReaderSlot.LOG, bell=LOG_BELL, gating=True)
    bell = open_reader_bell(storm.directory, LOG_BELL)
    watch = BoardWatch(open_board(storm.directory), LOG_BELL)
    watch.watch(SLOT)
    log = os.open(storm.log, os.O_WRONLY | os.O_CREAT, 0o600)
    settled = os.open(storm.settled, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    place = 0
    while True:
        for slot in watch.dirty():
            place, ended = _take(reader, rng, place, log, settled)
            if ended:
                return
            watch.done(slot)
        if rng.random() < 0.3:
            time.sleep(rng.random() * 0.001)
        elif watch.prepare_sleep():
            if not select.select([bell], [], [], PATIENCE_S)[0] and reader.has_news():
                raise StormError("the reader slept though there was something to read")
            watch.wake()
            bell.hush()


def _take(reader: RingReader, rng: random.Random, place: int, log: int, settled: int) -> tuple[int, bool]:
    while run := reader.next_run(rng.choice((1, 5000, 1 << 18))):
        if rng.random() < 0.05:
            reader.unpin()
            continue
        if run.kind == Kind.OUT:
            if run.offset < place:
                raise StormError(f"offset {run.offset} came again, {place} was reached")
            place = run.offset + len(run.view)
            os.pwrite(log, run.view, run.offset)
            os.write(settled, _SETTLED.pack(run.offset, len(run.view)))
        reader.finish(run)
        if run.kind == Kind.END:
            return place, True
    return place, False


def _follower(storm: Storm) -> None:
    """Ends by being killed; whatever it is given must be what stands there."""
    follower, cursor = attach_follower(storm.directory, SESSION), 0
    bell = open_reader_bell(storm.directory, FOLLOWER_BELL)
    board = open_board(storm.directory)
    while True:
        match follower.next_copy(cursor, 1 << 17):
            case Lapped(oldest):
                cursor = oldest
            case Copied(run, data):
                cursor = run.end
                if run.kind == Kind.OUT and data != pattern(run.offset, len(data)):
                    raise StormError(f"the copy of {len(data)} bytes at {run.offset} is wrong")
            case None:
                board[sleeping_word(FOLLOWER_BELL)] = 1
                select.select([bell], [], [], 0.01)
                bell.hush()


def _forked(body: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        _child(body)
    return pid


def _child(body: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        body()
        code = 0
    except BaseException:  # noqa: BLE001 - told to the parent as an exit code, to people on stderr
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)


# --- the storm ---


class _End:
    """One end of the ring, over all its incarnations."""

    def __init__(self, body: Callable[[int], None], rng: random.Random) -> None:
        self._body = body
        self._rng = rng
        self.started = 0
        self.pid = 0
        self.start()

    def start(self) -> None:
        seed = self._rng.randrange(1 << 30)
        self.pid = _forked(lambda: self._body(seed))
        self.started += 1

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if os.WIFEXITED(status):
            raise StormError(f"an end left by itself: exit code {os.WEXITSTATUS(status)}")
        self.start()

    def finish(self) -> None:
        deadline_s = time.monotonic() + 2 * PATIENCE_S
        while time.monotonic() < deadline_s:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                if status:
                    raise StormError(f"an end failed: status {status}")
                return
            time.sleep(0.01)
        raise StormError("no end in time")


def run(storm: Storm) -> Outcome:
    create_ring_dir(storm.directory)
    create_ring(storm.directory, SESSION, RingSpec(SLOT, max_bytes=1 << 20, policy=storm.policy))
    rng = random.Random(storm.seed)
    reading, writing = os.pipe()
    ordered, stop = os.pipe()
    counted, counting = os.pipe()
    program = _forked(lambda: _program(writing, ordered, counting, rng.randrange(1 << 30)))
    os.close(writing)
    follower = _forked(lambda: _follower(storm))
    ends: list[_End] = []
    try:
        ends.append(_End(lambda seed: _writer(storm, reading, seed), rng))
        ends.append(_End(lambda seed: _reader(storm, seed), rng))
        _kill_them(storm, ends, rng)
        os.write(stop, b"x")
        total = _SIZE.unpack(os.read(counted, _SIZE.size))[0]
        for end in ends:
            end.finish()
        _still_running(follower, "the follower")
        return _balance(storm, total, ends)
    except StormError as error:
        raise StormError(f"seed {storm.seed}: {error}\n{_state(storm.directory)}") from error
    finally:
        for pid in (program, follower, *(end.pid for end in ends)):
            _end_process(pid)
        for fd in (reading, ordered, stop, counted, counting):
            os.close(fd)


def _kill_them(storm: Storm, ends: list[_End], rng: random.Random) -> None:
    while any(end.started <= storm.kills for end in ends):
        if rng.random() < 0.3:
            _let_them_get_on(storm)
        time.sleep(rng.random() ** 2 * 0.02)
        for end in rng.choice((ends[:1], ends[1:], ends)):
            end.kill()


def _let_them_get_on(storm: Storm) -> None:
    """Nobody heals them now: both must move by themselves."""
    before, deadline_s = _standing(storm.directory), time.monotonic() + PATIENCE_S
    while any(now <= then for now, then in zip(_standing(storm.directory), before, strict=True)):
        if time.monotonic() > deadline_s:
            raise StormError("they do not get on")
        time.sleep(0.001)


def _standing(directory: str) -> tuple[int, int]:
    ring = open_ring(directory, SESSION)
    return ring.q[at.W_COMMIT], ring.q[at.reader_word(at.ReaderSlot.LOG, at.R_CURSOR)]


def _still_running(pid: int, who: str) -> None:
    if os.waitpid(pid, os.WNOHANG)[0]:
        raise StormError(f"{who} has failed")


def _end_process(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return


def _balance(storm: Storm, total: int, ends: list[_End]) -> Outcome:
    ring = open_ring(storm.directory, SESSION)
    kept = _settled(storm)
    _compare(storm, kept)
    lost = total - sum(end - start for start, end in kept)
    dropped = ring.tally().lost_bytes
    if kept[-1][1] > total:
        raise StormError(f"{kept[-1][1]} bytes were settled, the program wrote {total}")
    if storm.policy is at.Policy.BLOCK and lost:
        raise StormError(f"{lost} bytes of {total} are missing: {kept[:5]}")
    if storm.policy is at.Policy.DROP_NEWEST and lost != dropped:
        raise StormError(f"{lost} bytes are missing, {dropped} were counted as dropped")
    return Outcome(total, lost, ring.q[at.W_SALVAGED], ring.q[at.W_RESIZES], ends[0].started, ends[1].started)


def _settled(storm: Storm) -> list[tuple[int, int]]:
    """What the reader has put in its place, in the largest pieces."""
    pieces: list[tuple[int, int]] = []
    for offset, length in sorted(_SETTLED.iter_unpack(Path(storm.settled).read_bytes())):
        if pieces and offset <= pieces[-1][1]:
            start, end = pieces.pop()
            pieces.append((start, max(end, offset + length)))
        else:
            pieces.append((offset, offset + length))
    return pieces


def _compare(storm: Storm, kept: list[tuple[int, int]]) -> None:
    with open(storm.log, "rb") as log:
        for start, end in kept:
            log.seek(start)
            for offset in range(start, end, _PERIOD):
                length = min(_PERIOD, end - offset)
                if log.read(length) != pattern(offset, length):
                    raise StormError(f"wrong bytes between {offset} and {offset + length}")


def _state(directory: str) -> str:
    ring, board = open_ring(directory, SESSION), open_board(directory)
    return "\n".join((_words(ring), f"board: log bell sleeps {board[sleeping_word(LOG_BELL)]}"))


def _words(ring: RingMemory) -> str:
    names = [name for name in vars(at) if name.startswith("W_")]
    reader = {word: ring.q[at.reader_word(0, getattr(at, word))] for word in vars(at) if word.startswith("R_")}
    return f"{ {name[2:]: ring.q[getattr(at, name)] for name in names} }\nlog reader: {reader}"


@contextmanager
def storm_dir() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="ringvisor-storm-", dir="/dev/shm")
    try:
        yield path
    finally:
        shutil.rmtree(path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.ring_storm", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="of each end (500)")
    parser.add_argument("--policy", choices=[policy.name.lower() for policy in at.Policy], action="append")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    found = parser.parse_args()
    for name in found.policy or [policy.name for policy in at.Policy]:
        with storm_dir() as directory:
            start_s = time.monotonic()
            outcome = run(Storm(directory, at.Policy[name.upper()], found.seed, found.kills))
        print(f"{name.lower()}, seed {found.seed}: {outcome} in {time.monotonic() - start_s:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
