"""A session's worker: it moves the program's bytes into the ring and clients' bytes to the program. It has no policy,
retries nothing, reaps nobody.

Facts. The program's pidfd is readable once it is gone, reaped or not, and everything it wrote can be read by then. A
process that holds a copy of another session's terminal keeps that session from ever hanging up: every fd that is not
ours was closed before we came here.

Design. One epoll, no timers but the nearest deadline. Each turn looks at everything that was reported, then pumps: a
source that has nothing costs one read that says so, and no state says which source might have had something.
"""

import contextlib
import errno
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn, assert_never

from setproctitle import setproctitle

from childproc import handover
from childproc.ending import Ending
from childproc.exit_status import exit_status, wait_reaped
from childproc.feeder import Feeder
from childproc.input_port import InputPort, Request
from childproc.input_queue import Chunk
from childproc.job import MADE_PLACE, OUTPUT_ENDED, RING_REFUSED, LastWord, PipeFds, PtyFds, WorkerJob
from childproc.output import SHRINK_AFTER_S, Output
from childproc.resizing import Resizing
from childproc.source import Pumped, Source, pipe_source, terminal_source
from childproc.stall import StallClock
from childproc.terminal import Terminal
from childproc.worker_record import leave_word, named
from ipc import ring_layout as at
from ipc.errors import IpcError
from ipc.frames import Begin, End, EndReason, Flag, Kind, Resize, encode_begin, encode_end
from ipc.ring_attach import attach_writer
from ipc.ring_dir import open_writer_bell
from ipc.ring_writer import RingWriter
from ipc.worker_messages import CloseInput, Greeting, Input, Lend, Lent
from ipc.worker_messages import Resize as ResizeRequest

_NO_TERMINAL = Resize(0, 0)
_REAPED_MAX_S = 2.0


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"ringvisor: {line}\n")


def run(
    job: WorkerJob, *, shrink_after_s: float = SHRINK_AFTER_S, report: Callable[[str], None] = _to_stderr
) -> NoReturn:
    """In the forked child, with every fd closed that is not its own."""
    setproctitle(f"ringvisor: {job.session} [worker]")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a program that closes its stdin must not kill its worker
    try:
        writer = attach_writer(job.ring_dir, job.session, job.slot)
    except (IpcError, OSError) as error:
        report(f"session {job.session}: {error}")
        os._exit(RING_REFUSED)
    worker = Worker(job, writer, shrink_after_s)
    signal.signal(signal.SIGTERM, lambda *_: worker.make_place())
    os._exit(worker.run())


def input_socket_path(runtime_dir: str, session: str) -> str:
    return f"{runtime_dir}/w/{session}.sock"


def _open_ends(job: WorkerJob) -> tuple[tuple[Source, ...], int, Terminal | None]:
    match job.fds:
        case PtyFds(master):
            return (terminal_source(master),), master, Terminal(master, job.program_pid)
        case PipeFds(stdin, stdout, stderr):
            return (pipe_source(stdout, Kind.OUT), pipe_source(stderr, Kind.ERR)), stdin, None
        case None:
            return (), -1, None
        case _:
            assert_never(job.fds)


class Worker:
    def __init__(self, job: WorkerJob, writer: RingWriter, shrink_after_s: float) -> None:
        self._job = job
        self._writer = writer
        self._poll = select.epoll()
        self._masks: dict[int, int] = {}
        self._bell = open_writer_bell(job.ring_dir, job.session)
        self._port = InputPort(input_socket_path(job.runtime_dir, job.session), self._poll)
        sources, stdin, self._terminal = _open_ends(job)
        self._output = Output(sources, writer, self._bell, StallClock(job.stall_max_s), shrink_after_s)
        self._feeder = Feeder(stdin, self._terminal, self._port, writer)
        self._ending = Ending(job.orphan_linger_s, sum(source.held_bytes for source in sources))
        self._resizing = Resizing(self._terminal, writer)
        self._pumped = Pumped.EMPTY
        self._in_doubt_bytes = 0
        self._makes_place = False

    def make_place(self) -> None:
        """From a signal handler. Whoever sent it rings the bell too: a poll goes on after a signal."""
        self._makes_place = True

    def run(self) -> int:
        """Gives the exit code."""
        if self._already_ended():
            return OUTPUT_ENDED
        if self._writer.epoch == self._job.epoch:
            self._take_over()
        else:
            self._begin()
        if self._job.fds is None:  # salvaged by now: nothing more can come
            self._end(End(EndReason.FAILED, errno.EIO))
            return OUTPUT_ENDED
        self._feeder.go_on(handover.take(self._job.runtime_dir, self._job.session, self._job.epoch))
        self._poll.register(self._job.pidfd, select.EPOLLIN)
        self._poll.register(self._bell, select.EPOLLIN)
        reason = None
        while reason is None and not self._makes_place:
            reason = self._turn()
        if reason is None:
            self._hand_over()
            return MADE_PLACE
        self._end(End(reason, 0))
        self._leave_word()
        return OUTPUT_ENDED

    def _hand_over(self) -> None:
        """Between two turns nothing is half done: no window is armed, no write in flight."""
        for request in self._port.last_requests(self._greeting):
            self._act_on(request)
        handover.leave(self._job.runtime_dir, self._job.session, self._feeder.hand_over(self._job.epoch))
        self._port.close()

    # --- the epoch's first and last frame ---

    def _already_ended(self) -> bool:
        """The worker before this one committed the end and was killed before it could leave."""
        memory = self._writer.memory
        commit = memory.q[at.W_COMMIT]
        if self._writer.epoch != self._job.epoch or commit == memory.base_frame:
            return False
        return memory.descriptor(commit - 1).kind == Kind.END

    def _take_over(self) -> None:
        """The worker before this one was killed."""
        self._in_doubt_bytes = self._writer.memory.q[at.W_INPUT_ARMED]
        self._resizing.ask(self._size())

    def _begin(self) -> None:
        q = self._writer.memory.q
        q[at.W_INPUT_OFFSET] = q[at.W_INPUT_ARMED] = 0
        size = self._size()
        payload = encode_begin(Begin(time.time_ns(), size.cols, size.rows))
        self._insist(lambda force: self._writer.begin_epoch(self._job.epoch, payload, force=force))
        self._resizing.announced(size)

    def _end(self, end: End) -> None:
        self._feeder.discard()
        self._port.close()
        payload = encode_end(end)
        self._insist(lambda force: self._writer.put(Kind.END, payload, force=force))

    def _leave_word(self) -> None:
        """No keeper reaped the program: with us goes the last pidfd that could be asked how it ended."""
        job = self._job
        if not job.keeper_pid or os.getppid() == job.keeper_pid:
            return
        status, time_ns = exit_status(job.program_pid, job.pidfd), time.monotonic_ns()
        if status is None:
            wait_reaped(job.pidfd, _REAPED_MAX_S)
            status = exit_status(job.program_pid, job.pidfd)
        with contextlib.suppress(OSError):
            leave_word(job, LastWord(job.epoch, status, time_ns))

    def _insist(self, put: Callable[[bool], bool]) -> None:
        """The readers have their time to make room, then the oldest frames go. Only one that hangs with everything
        pinned keeps us longer; it ends with its hang or its death."""
        force = False
        while not put(force):
            force = not self._was_given_room()

    def _was_given_room(self) -> bool:
        if not self._writer.prepare_wait():
            return True
        ready, _, _ = select.select([self._bell], [], [], self._job.stall_max_s)
        self._bell.hush()
        self._writer.end_wait()
        return bool(ready)

    # --- one turn of the loop ---

    def _turn(self) -> EndReason | None:
        self._watch()
        for fd, _ in self._poll.poll(self._timeout_s()):
            self._dispatch(fd)
        now_s = time.monotonic()
        self._pumped = self._output.pump(now_s)
        self._resizing.apply_if_due(now_s)
        return self._verdict(now_s) if self._ending.leader_gone else None

    def _verdict(self, now_s: float) -> EndReason | None:
        empty = self._pumped is Pumped.EMPTY
        if empty:
            self._writer.flags = int(Flag.ORPHAN)
        return self._ending.verdict(
            empty=empty, sources_open=self._output.is_open, position_bytes=self._output.position_bytes(), now_s=now_s
        )

    def _watch(self) -> None:
        """Bring the poll in line with what output and input wait for; one terminal may serve both."""
        wanted = self._output.poll_masks()
        for fd, mask in self._feeder.poll_masks().items():
            wanted[fd] = wanted.get(fd, select.EPOLLET) | mask
        if wanted != self._masks:
            self._change_masks(wanted)
        self._feeder.close_if_done()

    def _change_masks(self, wanted: dict[int, int]) -> None:
        for fd in self._masks.keys() - wanted.keys():
            self._poll.unregister(fd)
        for fd, mask in wanted.items():
            if fd not in self._masks:
                self._poll.register(fd, mask)
            elif self._masks[fd] != mask:
                self._poll.modify(fd, mask)
        self._masks = wanted

    def _timeout_s(self) -> float | None:
        """A source that is watched by edges does not say twice that there is more."""
        if self._pumped is Pumped.MORE:
            return 0.0
        deadlines = (self._ending_deadline_s(), self._output.deadline_s(), self._resizing.deadline_s())
        nearest_s = min((deadline for deadline in deadlines if deadline is not None), default=None)
        return None if nearest_s is None else max(0.0, nearest_s - time.monotonic())

    def _ending_deadline_s(self) -> float | None:
        """What stands in the kernel behind a full ring is read first, however long that takes."""
        return None if self._output.waiting else self._ending.deadline_s

    def _dispatch(self, fd: int) -> None:
        if fd == self._job.pidfd:
            self._poll.unregister(fd)
            self._ending.leader_ended(time.monotonic(), self._output.position_bytes())
            self._output.read_to_the_last_byte()
        elif fd == self._bell.fd:
            self._output.answer_bell()
        elif fd == self._port.listening_fd:
            self._port.accept()
        elif self._port.has(fd):
            self._receive(fd)
        else:
            self._feeder.feed()

    def _receive(self, fd: int) -> None:
        if request := self._port.receive(fd, self._greeting):
            self._act_on(request)

    def _act_on(self, request: Request) -> None:
        match request.message:
            case Input(id=number, data=data):
                self._feeder.take(Chunk(request.client, number, data))
            case CloseInput(id=number):
                self._feeder.close(request.client, number)
            case ResizeRequest(cols, rows):
                self._resizing.ask(Resize(cols, rows))
            case Lend():
                self._lend(request.client)
            case _:
                assert_never(request.message)

    def _lend(self, client: int) -> None:
        streams = named(self._job.fds)
        if "stdin" in streams and self._feeder.fd < 0:
            del streams["stdin"]
        self._port.lend(client, Lent(self._job.epoch, tuple(streams)), (self._job.pidfd, *streams.values()))

    def _greeting(self) -> Greeting:
        size = self._size()
        offset = self._writer.memory.q[at.W_INPUT_OFFSET]
        job = self._job
        return Greeting(job.session, job.epoch, job.program_pid, size.cols, size.rows, offset, self._in_doubt_bytes)

    def _size(self) -> Resize:
        return self._terminal.size() if self._terminal else _NO_TERMINAL
