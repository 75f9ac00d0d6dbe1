"""One session as a log lane sees it: a ring on one side, the log of each stream on the other."""

from enum import Enum, auto

from ipc.archivist import Job
from ipc.errors import RingMoving
from ipc.frames import Kind
from ipc.log_sink import LogSink, Moment
from ipc.ring_attach import attach_reader
from ipc.ring_layout import ReaderSlot
from ipc.ring_reader import RingReader, Run
from ipc.sink_spec import LogSpec, SinkSpec


class Progress(Enum):
    IDLE = auto()  # everything is in the log
    MORE = auto()  # its turn is over, there is more
    HELD = auto()  # a log has failed: not before `deadline_ns`
    MOVING = auto()  # the ring changes its size: not before the bell rings


class SessionLog:
    def __init__(self, ring_dir: str, spec: SinkSpec, log: LogSpec, bell: int, now: Moment) -> None:
        self.spec = spec
        self.log = log
        self._reader: RingReader = attach_reader(ring_dir, spec.session, ReaderSlot.LOG, bell=bell, gating=log.required)
        self._sinks = {
            int(kind): LogSink.open(log.directory, name, log.policy, now, user=log.user)
            for kind, name in ((Kind.OUT, log.name), (Kind.ERR, log.err_name))
            if name
        }
        self._rotations = 0

    @property
    def cursor(self) -> int:
        return self._reader.cursor

    @property
    def sinks(self) -> list[LogSink]:
        return list(self._sinks.values())

    def has_news(self) -> bool:
        return self._reader.has_news()

    def deadline_ns(self) -> int | None:
        return min((s.deadline_ns for s in self._sinks.values() if s.deadline_ns is not None), default=None)

    def advance(self, most_bytes: int, now: Moment) -> Progress:
        """One turn: at most so many bytes, so that no session starves another."""
        try:
            while most_bytes > 0:
                run = self._reader.next_run(most_bytes)
                if run is None:
                    return Progress.IDLE
                if not self._settle(run, now):
                    self._reader.unpin()
                    return Progress.HELD
                most_bytes -= len(run.view)
                self._reader.finish(run)
        except RingMoving:
            return Progress.MOVING
        return Progress.MORE

    def _settle(self, run: Run, now: Moment) -> bool:
        """Everything in this run is in its log, or was before."""
        if run.kind == Kind.END:
            return all(
                sink.end_epoch(run.epoch, self._end_offset(kind, run), now) for kind, sink in self._sinks.items()
            )
        sink = self._sinks.get(run.kind)
        if sink is None:
            return True
        before = sink.position
        settled = sink.append(run.epoch, run.offset, (run.view,), now) == len(run.view)
        if before.epoch == run.epoch and before.offset < run.offset:
            self._reader.count_lost_bytes(run.offset - before.offset)
        return settled

    def _end_offset(self, kind: int, run: Run) -> int:
        return run.offset if kind == Kind.OUT else run.other_offset

    def rotated(self) -> list[Job]:
        """What the archivist should look at since the last time we were asked."""
        rotations = sum(sink.rotations for sink in self._sinks.values())
        if rotations == self._rotations:
            return []
        self._rotations = rotations
        log = self.log
        return [Job(log.directory, name, log.retention, log.compress) for name in (log.name, log.err_name) if name]

    def rotate(self, now: Moment) -> None:
        for sink in self._sinks.values():
            sink.rotate(now)

    def reopen(self, now: Moment) -> None:
        for sink in self._sinks.values():
            sink.reopen(now)

    def clear(self, now: Moment) -> None:
        for sink in self._sinks.values():
            sink.clear(now)

    def tick(self, now: Moment) -> None:
        for sink in self._sinks.values():
            sink.tick(now)

    def close(self, now: Moment) -> None:
        for sink in self._sinks.values():
            sink.close(now)
