"""A log's writer may be killed at any instruction; it changes things by system calls, so: at each of them."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.log_sink import LogSink
from tests.ipc.log_support import (
    LOG,
    Crash,
    CrashingKernel,
    assert_holds,
    at,
    contents,
    gaps_of,
    kill,
    no_sink_left_open,  # noqa: F401 - a fixture
    open_sink,
    report_of,
    stream,
)

_KIB = 1024
LONG = bool(os.environ.get("RINGVISOR_LONG"))
POLICY = {"max_bytes": 150 * _KIB}


@dataclass(frozen=True)
class Run:
    epoch: int
    start: int
    end: int


@dataclass
class Ring:
    """Delivers runs in order, again and again until they are taken. The cursor lives longer than the router."""

    steps: Sequence[Run | str]
    cursor: int = 0
    taken: int = 0  # bytes of the run at the cursor
    asked: list[int] = field(default_factory=list)

    def play(self, sink: LogSink) -> None:
        while self.cursor < len(self.steps):
            second = self.cursor * 0.4
            match self.steps[self.cursor]:
                case Run(epoch, start, end):
                    views = _halves(stream(epoch, start + self.taken, end))
                    self.taken += sink.append(epoch, start + self.taken, views, at(second))
                    assert start + self.taken == end
                case "tick":
                    sink.tick(at(second))
                case "rotate":
                    sink.rotate(at(second))
                case "reopen":
                    sink.reopen(at(second))
            self.cursor, self.taken = self.cursor + 1, 0

    def rewind(self, steps: int) -> None:
        """A cursor that was stored some runs ago."""
        self.cursor, self.taken = max(self.cursor - steps, 0), 0


STORY: tuple[Run | str, ...] = (
    Run(1, 0, 100),
    Run(1, 100, 50_000),
    "tick",
    Run(1, 50_000, 120_000),
    Run(1, 120_000, 200_000),  # over the part's border, and over Checks
    Run(1, 260_000, 260_100),  # 60 000 bytes were dropped
    "tick",
    "rotate",
    Run(2, 0, 70_000),
    Run(3, 500, 600),  # the ring had been lapped at the epoch's begin
    "reopen",
    Run(3, 600, 700),
    Run(3, 700, 400_000),  # rotates twice within one run
    "tick",
)
STORY_GAPS = [(1, 200_000, 260_000, "GAP"), (3, 0, 500, "GAP")]


def _halves(data: bytes) -> list[memoryview]:
    view, middle = memoryview(data), len(data) // 3
    return [view[:middle], view[middle:]]


def expected(steps: Sequence[Run | str]) -> bytes:
    return b"".join(stream(step.epoch, step.start, step.end) for step in steps if isinstance(step, Run))


def play_until_killed(directory: Path, ring: Ring, kernel: CrashingKernel) -> bool:
    """True: it was killed."""
    try:
        ring.play(open_sink(directory, kernel=kernel, **POLICY))
    except Crash:
        return True
    finally:
        kernel.bury()
    return False


def finish(directory: Path, ring: Ring) -> None:
    sink = open_sink(directory, 100, **POLICY)
    ring.play(sink)
    last = [step for step in ring.steps if isinstance(step, Run)][-1:]
    assert all(sink.end_epoch(run.epoch, run.end, at(150)) for run in last)
    sink.close(at(200))


def assert_balanced(directory: Path, steps: Sequence[Run | str], gaps: Sequence[tuple[int, int, int, str]]) -> None:
    assert contents(directory) == expected(steps)
    report = report_of(directory)
    assert report.problems == []
    assert gaps_of(directory) == list(gaps)
    assert (report.unchecked_bytes, report.foreign_bytes) == (0, 0)
    assert report.count == len(expected(steps))


def calls_of_story() -> int:
    with tempfile.TemporaryDirectory() as name:
        kernel = CrashingKernel(None)
        assert not play_until_killed(Path(name), Ring(STORY), kernel)
        return kernel.calls


@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True], ids=["before-the-call", "torn"])
@pytest.mark.parametrize("rewind", [0, 3])
def test_killed_at_any_system_call_no_byte_is_lost_or_doubled(tmp_path, torn, rewind):
    """Whatever call the writer dies at, its successor ends with the same bytes and a sound index."""
    last = calls_of_story()
    assert last > 150
    for dies_at in range(1, last + 1):
        directory = tmp_path / str(dies_at)
        directory.mkdir()
        ring = Ring(STORY)
        assert play_until_killed(directory, ring, CrashingKernel(dies_at, torn=torn))
        ring.rewind(rewind)
        finish(directory, ring)
        assert_balanced(directory, STORY, STORY_GAPS)


@pytest.mark.slow
def test_what_a_dead_writer_left_is_a_sound_log_as_it_stands(tmp_path):
    """Before anybody recovers it: the books balance at every instruction."""
    for dies_at in range(2, calls_of_story() + 1):
        directory = tmp_path / str(dies_at)
        directory.mkdir()
        ring = Ring(STORY)
        play_until_killed(directory, ring, CrashingKernel(dies_at))
        there = contents(directory)
        assert there == expected(STORY)[: len(there)]
        assert len(there) >= len(expected(STORY[: ring.cursor]))
        report = report_of(directory)
        assert (report.problems, report.foreign_bytes, report.count) == ([], 0, len(there))
        assert gaps_of(directory) == STORY_GAPS[: len(report.gaps)]


@pytest.mark.slow
def test_killed_again_while_it_recovers(tmp_path):
    """Recovery is as safe as writing: it may die at each of its calls, too."""
    for dies_at in range(5, calls_of_story(), 7):
        for dies_again_at in range(1, 40, 3):
            directory = tmp_path / f"{dies_at}-{dies_again_at}"
            directory.mkdir()
            ring = Ring(STORY)
            play_until_killed(directory, ring, CrashingKernel(dies_at, torn=True))
            play_until_killed(directory, ring, CrashingKernel(dies_again_at, torn=True))
            finish(directory, ring)
            assert_balanced(directory, STORY, STORY_GAPS)


class SuicidalKernel(CrashingKernel):
    """The real thing: SIGKILL."""

    def _count(self, name, args):
        try:
            super()._count(name, args)
        except Crash:
            os.kill(os.getpid(), signal.SIGKILL)


def in_child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


@pytest.mark.slow
def test_a_real_process_killed_by_sigkill_at_any_system_call(tmp_path):
    """The ring's cursor was never stored: everything is offered again, nothing is written twice. (Every third
    call: that all of them are survived is proven above; this proves that a simulated death is like a real one.)"""
    for dies_at in range(1, calls_of_story() + 1, 1 if LONG else 3):
        directory = tmp_path / str(dies_at)
        directory.mkdir()
        status = in_child(lambda d=directory, n=dies_at: play_until_killed(d, Ring(STORY), SuicidalKernel(n)))
        assert os.WTERMSIG(status) == signal.SIGKILL
        finish(directory, Ring(STORY))
        assert_balanced(directory, STORY, STORY_GAPS)


@st.composite
def stories(draw):
    """Random histories: runs, losses, epochs, rotations."""
    steps: list[Run | str] = []
    epoch, offset = 1, 0
    for _ in range(draw(st.integers(1, 12))):
        what = draw(st.sampled_from(["run", "run", "run", "gap", "epoch", "tick", "rotate", "reopen"]))
        if what in {"tick", "rotate", "reopen"}:
            steps.append(what)
            continue
        if what == "gap":
            offset += draw(st.integers(1, 5_000))
        if what == "epoch":
            epoch, offset = epoch + 1, draw(st.sampled_from([0, 0, 0, 77]))
        length = draw(st.sampled_from([1, 2, 99, 4_096, 65_535, 65_536, 65_537, 200_000]))
        steps.append(Run(epoch, offset, offset + length))
        offset += length
    return steps


def losses(steps: Sequence[Run | str]) -> list[tuple[int, int, int, str]]:
    gaps, epoch, offset = [], 0, 0
    for step in steps:
        if not isinstance(step, Run):
            continue
        reached = offset if step.epoch == epoch else 0
        if step.start > reached:
            gaps.append((step.epoch, reached, step.start, "GAP"))
        epoch, offset = step.epoch, step.end
    return gaps


@pytest.mark.slow
@given(
    steps=stories(),
    deaths=st.lists(st.tuples(st.integers(1, 120), st.booleans(), st.integers(0, 3)), max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_any_history_with_any_deaths_ends_with_exactly_its_bytes(steps, deaths):
    """The model is a plain list of bytes: what was delivered, in order."""
    with tempfile.TemporaryDirectory() as name:
        directory, ring = Path(name), Ring(steps)
        for dies_at, torn, rewind in deaths:
            play_until_killed(directory, ring, CrashingKernel(dies_at, torn=torn))
            ring.rewind(rewind)
        finish(directory, ring)
        assert_balanced(directory, steps, losses(steps))
        for step in steps:
            if isinstance(step, Run):
                assert_holds(directory, step.epoch, step.start, step.end)


def _append_foreign(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b"hello\n")


def _cut(log: Path) -> None:
    os.truncate(log, 300)


@pytest.mark.slow
@pytest.mark.parametrize("meddle", [_append_foreign, _cut])
@pytest.mark.parametrize("running", [True, False], ids=["while-running", "while-dead"])
def test_killed_while_it_finds_that_somebody_meddled(tmp_path, meddle, running):
    """What it found is stated before it writes on, or found again."""
    for dies_at in range(1, 60):
        directory = tmp_path / str(dies_at)
        directory.mkdir()
        kernel = CrashingKernel(dies_at + 1000 if running else dies_at)
        with contextlib.suppress(Crash):
            sink = open_sink(directory, kernel=kernel if running else None)
            sink.append(1, 0, [memoryview(stream(1, 0, 1_000))], at(0))
            sink.tick(at(2))
            sink.append(1, 1_000, [memoryview(stream(1, 1_000, 1_500))], at(3))
            if not running:
                kill(sink)
            meddle(directory / LOG)
            if running:
                kernel.calls = 1000
            else:
                sink = open_sink(directory, kernel=kernel)
            for start in (1_500, 2_000):
                sink.append(1, start, [memoryview(stream(1, start, start + 500))], at(4))
        kernel.bury()
        heir = open_sink(directory, 10)
        for start in (1_500, 2_000, 2_500):
            heir.append(1, start, [memoryview(stream(1, start, start + 500))], at(11))
        heir.close(at(12))
        report = report_of(directory)
        there = contents(directory)
        assert report.problems == []
        if meddle is _cut:
            assert there == stream(1, 0, 300) + stream(1, 1_500, 3_000)
        else:
            assert there == stream(1, 0, 1_500) + b"hello\n" + stream(1, 1_500, 3_000)
            assert (report.foreign_bytes, report.gaps) == (6, [])
        assert report.count + sum(gap.end - gap.start for gap in report.gaps) == 3_000


def test_clear_killed_at_any_call_keeps_the_position(tmp_path):
    """Killed while clearing, the stream goes on exactly where it was; what was cut is a stated gap."""
    kernel = CrashingKernel(None)
    (tmp_path / "count").mkdir()
    _write_and_clear(tmp_path / "count", kernel)
    for dies_at in range(1, kernel.calls + 1):
        directory = tmp_path / str(dies_at)
        directory.mkdir()
        mortal = CrashingKernel(dies_at)
        with contextlib.suppress(Crash):
            _write_and_clear(directory, mortal)
        mortal.bury()
        sink = open_sink(directory, 5)
        assert not mortal.settled or sink.position >= (1, mortal.settled)
        assert sink.append(1, 0, [memoryview(stream(1, 0, 3_000))], at(5)) == 3_000
        sink.close(at(6))
        report = report_of(directory)
        assert report.problems == []
        lost = sum(gap.end - gap.start for gap in report.gaps)
        assert report.count + lost == 3_000
        tail = contents(directory)
        assert tail == stream(1, 3_000 - len(tail), 3_000)


def _write_and_clear(directory: Path, kernel: CrashingKernel) -> None:
    sink = open_sink(directory, kernel=kernel)
    kernel.settled = sink.append(1, 0, [memoryview(stream(1, 0, 1_000))], at(0))
    sink.clear(at(1))
    sink.append(1, 1_000, [memoryview(stream(1, 1_000, 2_000))], at(2))
    sink.close(at(3))
