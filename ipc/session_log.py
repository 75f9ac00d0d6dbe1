"""One session as a log lane sees it: a ring on one side, the log of each stream on the other."""

import errno
from collections.abc import Callable
from enum import Enum, auto

from ipc.archivist import Job
from ipc.errors import RingCorrupt
from ipc.frames import Kind
from ipc.log_failure import Failure
from ipc.log_kernel import KERNEL, Kernel
from ipc.log_sink import LogSink, Moment
from ipc.ring_attach import attach_reader
from ipc.ring_layout import W_COMMIT, W_NEXT_GENERATION, ReaderSlot
from ipc.ring_reader import RingReader, Run
from ipc.sink_spec import LogSpec, SinkSpec


class Progress(Enum):
    IDLE = auto()  # everything is in the log
    MORE = auto()  # its turn is over, there is more
    HELD = auto()  # a log has failed: not before `retry_ns`


class SessionLog:
    def __init__(
        self, ring_dir: str, spec: SinkSpec, log: LogSpec, bell: int, now: Moment, kernel: Kernel = KERNEL
    ) -> None:
        self.spec = spec
        self.log = log
        self._reader: RingReader = attach_reader(ring_dir, spec.session, ReaderSlot.LOG, bell=bell, gating=log.required)
        self._sinks = {
            int(kind): LogSink.open(log.directory, name, log.policy, now, user=log.user, kernel=kernel)
            for kind, name in zip((Kind.OUT, Kind.ERR), log.names, strict=False)
        }
        self._rotations = 0

    @property
    def cursor(self) -> int:
        return self._reader.cursor

    @property
    def newest(self) -> int:
        return self._reader.memory.q[W_COMMIT]

    @property
    def failures(self) -> list[Failure]:
        """From any thread."""
        return [failure for failure in [sink.failure for sink in self._sinks.values()] if failure is not None]

    def has_news(self) -> bool:
        return self._reader.has_news()

    def deadline_ns(self) -> int | None:
        """When a log wants to be ticked."""
        return min((s.deadline_ns for s in self._sinks.values() if s.deadline_ns is not None), default=None)

    def retry_ns(self) -> int | None:
        """When a failed log may be tried again."""
        return min((failure.retry_ns for failure in self.failures), default=None)

    def advance(self, most_bytes: int, now: Moment) -> Progress:
        """One turn: at most so many bytes, so that no session starves another."""
        while most_bytes > 0:
            run = self._reader.next_run(most_bytes)
            if run is None:
                return Progress.IDLE
            if not self._settle(run, now):
                self._reader.unpin()
                self._blame_ring()
                return Progress.HELD
            most_bytes -= len(run.view)
            self._reader.finish(run)
        return Progress.MORE

    def _settle(self, run: Run, now: Moment) -> bool:
        """Everything in this run is in its log, or was before."""
        if run.kind == Kind.END:
            ends = [sink.end_epoch(run.epoch, self._end_offset(kind, run), now) for kind, sink in self._sinks.items()]
            return all(ends)
        sink = self._sinks.get(run.kind)
        if sink is None:
            return True
        before = sink.position
        settled = sink.append(run.epoch, run.offset, (run.view,), now)
        expected = before.offset if before.epoch == run.epoch else 0
        if expected < run.offset and before < (run.epoch, run.offset) <= sink.position:
            self._reader.count_lost_bytes(run.offset - expected)
        return settled == len(run.view)

    def _end_offset(self, kind: int, run: Run) -> int:
        return run.offset if kind == Kind.OUT else run.other_offset

    def _blame_ring(self) -> None:
        """A `writev` from a mapping that its file no longer holds is no fault of the log's."""
        if any(failure.errno == errno.EFAULT for failure in self.failures):
            raise RingCorrupt("its file is shorter than it was")

    def rotated(self) -> list[Job]:
        """What the archivist should look at since the last time we were asked."""
        rotations = sum(sink.rotations for sink in self._sinks.values())
        if rotations == self._rotations:
            return []
        self._rotations = rotations
        return self.jobs()

    def jobs(self) -> list[Job]:
        log = self.log
        return [Job(log.directory, name, log.retention, log.compress) for name in log.names]

    def rotate(self, now: Moment) -> bool:
        return self._each(lambda sink: sink.rotate(now))

    def reopen(self, now: Moment) -> bool:
        return self._each(lambda sink: sink.reopen(now))

    def clear(self, now: Moment) -> bool:
        return self._each(lambda sink: sink.clear(now))

    def _each(self, act: Callable[[LogSink], bool]) -> bool:
        """Also those behind one that fails."""
        done = [act(sink) for sink in self._sinks.values()]
        return all(done)

    def tick(self, now: Moment) -> None:
        for sink in self._sinks.values():
            sink.tick(now)

    def close(self, now: Moment) -> None:
        for sink in self._sinks.values():
            sink.close(now)


def leave(ring_dir: str, session: str) -> None:
    """The session has no log any more: nothing is kept for one, and its program waits for none."""
    reader = attach_reader(ring_dir, session, ReaderSlot.LOG, bell=0, gating=False)
    reader.detach()
    while reader.memory.q[W_NEXT_GENERATION]:
        reader.follow_generation()
        reader.detach()
