"""A session's worker: it moves the program's bytes into the ring and clients' bytes to the program. It has no policy,
retries nothing, reaps nobody.

Facts. The program's pidfd is readable once it is gone, reaped or not, and everything it wrote can be read by then. A
process that holds a copy of another session's terminal keeps that session from ever hanging up: every fd that is not
ours was closed before we came here.

Design. One epoll, no timers but the nearest deadline. Each turn looks at everything that was reported, then pumps: a
source that has nothing costs one read that says so, and no state says which source might have had something.
"""

import os
import select
import sys
import time
from typing import NoReturn, assert_never

from setproctitle import setproctitle

from childproc.ending import Ending
from childproc.feeder import Feeder
from childproc.input_port import InputPort
from childproc.input_queue import Chunk
from childproc.job import OUTPUT_ENDED, RING_REFUSED, PipeFds, PtyFds, WorkerJob
from childproc.output import Output
from childproc.source import Pumped, Source, pipe_source, terminal_source
from childproc.stall import StallClock
from childproc.terminal import Terminal
from ipc import ring_layout as at
from ipc.errors import IpcError
from ipc.frames import Begin, End, EndReason, Flag, Kind, Resize, encode_begin, encode_end, encode_resize
from ipc.ring_attach import attach_writer
from ipc.ring_dir import open_writer_bell
from ipc.ring_writer import RingWriter
from ipc.worker_messages import CloseInput, Greeting, Input
from ipc.worker_messages import Resize as ResizeRequest

_RESIZE_PAUSE_S = 0.05
_NO_TERMINAL = Resize(0, 0)


def run(job: WorkerJob) -> NoReturn:
    """In the forked child, with every fd closed that is not its own."""
    setproctitle(f"ringvisor: {job.session} [worker]")
    try:
        writer = attach_writer(job.ring_dir, job.session, job.slot)
    except (IpcError, OSError) as error:
        sys.stderr.write(f"ringvisor: session {job.session}: {error}\n")
        os._exit(RING_REFUSED)
    Worker(job, writer).run()
    os._exit(OUTPUT_ENDED)


def input_socket_path(runtime_dir: str, session: str) -> str:
    return f"{runtime_dir}/w/{session}.sock"


def _open_ends(job: WorkerJob) -> tuple[tuple[Source, ...], int, Terminal | None]:
    match job.fds:
        case PtyFds(master):
            return (terminal_source(master),), master, Terminal(master, job.program_pid)
        case PipeFds(stdin, stdout, stderr):
            return (pipe_source(stdout, Kind.OUT), pipe_source(stderr, Kind.ERR)), stdin, None
        case _:
            assert_never(job.fds)


class Worker:
    def __init__(self, job: WorkerJob, writer: RingWriter) -> None:
        self._job = job
        self._writer = writer
        self._poll = select.epoll()
        self._masks: dict[int, int] = {}
        self._bell = open_writer_bell(job.ring_dir, job.session)
        self._port = InputPort(input_socket_path(job.runtime_dir, job.session), self._poll)
        sources, stdin, self._terminal = _open_ends(job)
        self._output = Output(sources, writer, self._bell, StallClock(job.stall_max_s))
        self._feeder = Feeder(stdin, self._terminal, self._port, writer)
        self._ending = Ending(job.orphan_linger_s, sum(source.held_bytes for source in sources))
        self._wanted_size: Resize | None = None
        self._resized_s = 0.0

    def run(self) -> None:
        if self._already_ended():
            return
        self._begin()
        self._poll.register(self._job.pidfd, select.EPOLLIN)
        self._poll.register(self._bell, select.EPOLLIN)
        while (reason := self._turn()) is None:
            pass
        self._end(reason)

    # --- the epoch's first and last frame ---

    def _already_ended(self) -> bool:
        """The worker before this one committed the end and was killed before it could leave."""
        memory = self._writer.memory
        commit = memory.q[at.W_COMMIT]
        if self._writer.epoch != self._job.epoch or commit == memory.base_frame:
            return False
        return memory.descriptor(commit - 1).kind == Kind.END

    def _begin(self) -> None:
        if self._writer.epoch == self._job.epoch:
            return
        size = self._size()
        payload = encode_begin(Begin(time.time_ns(), size.cols, size.rows))
        while not self._writer.begin_epoch(self._job.epoch, payload):
            self._wait_for_room()
        q = self._writer.memory.q
        q[at.W_INPUT_OFFSET] = q[at.W_INPUT_ARMED] = 0

    def _end(self, reason: EndReason) -> None:
        self._port.close()
        payload = encode_end(End(reason, 0))
        while not self._writer.put(Kind.END, payload, force=True):
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        """Only a reader that hangs with everything pinned brings us here; it ends with its hang or its death."""
        self._writer.prepare_wait()
        select.select([self._bell], [], [], self._job.stall_max_s)
        self._bell.hush()
        self._writer.end_wait()

    # --- one turn of the loop ---

    def _turn(self) -> EndReason | None:
        self._watch()
        for fd, _ in self._poll.poll(self._timeout_s()):
            self._dispatch(fd)
        now_s = time.monotonic()
        if self._wanted_size is not None and now_s >= self._resized_s + _RESIZE_PAUSE_S:
            self._resize(self._wanted_size, now_s)
        empty = self._output.pump(now_s) is Pumped.EMPTY
        if not self._ending.leader_gone:
            return None
        return self._verdict(empty=empty, now_s=now_s)

    def _verdict(self, *, empty: bool, now_s: float) -> EndReason | None:
        if empty:
            self._writer.flags = int(Flag.ORPHAN)
        return self._ending.verdict(
            empty=empty, sources_open=self._output.is_open, position_bytes=self._position_bytes(), now_s=now_s
        )

    def _position_bytes(self) -> int:
        return self._writer.out_offset + self._writer.err_offset

    def _watch(self) -> None:
        """Bring the poll in line with what output and input wait for; one terminal may serve both."""
        wanted = self._output.poll_masks()
        for fd, mask in self._feeder.poll_masks().items():
            wanted[fd] = wanted.get(fd, select.EPOLLET) | mask
        if wanted == self._masks:
            return
        for fd in self._masks.keys() - wanted.keys():
            self._poll.unregister(fd)
        for fd, mask in wanted.items():
            if fd not in self._masks:
                self._poll.register(fd, mask)
            elif self._masks[fd] != mask:
                self._poll.modify(fd, mask)
        self._masks = wanted

    def _timeout_s(self) -> float | None:
        resize_s = None if self._wanted_size is None else self._resized_s + _RESIZE_PAUSE_S
        deadlines = (self._ending.deadline_s, self._output.deadline_s(), resize_s)
        nearest_s = min((deadline for deadline in deadlines if deadline is not None), default=None)
        return None if nearest_s is None else max(0.0, nearest_s - time.monotonic())

    def _dispatch(self, fd: int) -> None:
        if fd == self._job.pidfd:
            self._poll.unregister(fd)
            self._ending.leader_ended(time.monotonic(), self._position_bytes())
        elif fd == self._bell.fd:
            self._output.answer_bell()
        elif fd == self._port.listening_fd:
            self._port.accept()
        elif self._port.has(fd):
            self._receive(fd)
        else:
            self._feeder.feed()

    def _receive(self, client: int) -> None:
        message = self._port.receive(client, self._greeting)
        match message:
            case Input(id=request, data=data):
                self._feeder.take(Chunk(client, request, data))
            case CloseInput(id=request):
                self._feeder.close(client, request)
            case ResizeRequest(cols, rows):
                self._wanted_size = Resize(cols, rows) if self._terminal else None
            case None:
                pass
            case _:
                assert_never(message)

    def _greeting(self) -> Greeting:
        size = self._size()
        offset = self._writer.memory.q[at.W_INPUT_OFFSET]
        return Greeting(self._job.session, self._job.epoch, self._job.program_pid, size.cols, size.rows, offset)

    def _size(self) -> Resize:
        return self._terminal.size() if self._terminal else _NO_TERMINAL

    def _resize(self, size: Resize, now_s: float) -> None:
        """In the ring first: nothing that is drawn for the new size comes before it."""
        if self._terminal and self._terminal.size() != size:
            if not self._writer.put(Kind.RESIZE, encode_resize(size)):
                return  # the ring is full; the wish stays until there is room
            self._terminal.resize(size)
        self._wanted_size = None
        self._resized_s = now_s
