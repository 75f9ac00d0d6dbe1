"""What a keeper makes of what the last one left behind. Pure: who still lives, and which fds were got, is passed in.

    the record says    and this was found                       so the table says
    released           its process, which never exec'ed         released, and it is killed: its gate is gone
    released, running  its process, or a pidfd of it            running, until the pidfd says otherwise
    released, running  neither                                  gone; how, its worker may have written down, else unseen
    gone               anything                                 gone, its end told again until it is acknowledged

    flowing, or a program that ran:
                       its worker                               flowing, with that worker, on the fds that it lent
                       no worker                                flowing, with one to be forked: without fds, it salvages
                                                                and writes the end, or finds that written already

Nothing here is written down before the table is in use: a keeper that dies in the middle of adopting leaves to the
next one what it found itself.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from childproc.job import LastWord, PipeFds, PtyFds
from supervisor.keeper.messages import Unseen, WaitStatus, wait_status
from supervisor.keeper.table import OutputState, ProgramState, Run, Session, SessionRecord, Table, Worker, open_streams


class Found(Struct, frozen=True):
    """Of one epoch. -1, 0 and None: not found."""

    pidfd: int = -1  # the program's: it lives, or can still be asked how it ended
    has_run: bool = True  # it came as far as exec, or that cannot be told any more
    worker_pid: int = 0
    worker_pidfd: int = -1
    fds: PtyFds | PipeFds | None = None
    word: LastWord | None = None  # of a worker that is gone

    def open_fds(self) -> list[int]:
        return [fd for fd in (self.pidfd, self.worker_pidfd, *open_streams(self.fds)) if fd >= 0]


def adopted(records: Iterable[SessionRecord], found: Mapping[str, Found], now_ns: int) -> Table:
    table = Table()
    for record in records:
        table.sessions[record.session.name] = record.session
        if record.report:
            table.reports[record.report.seq] = record.report
    table.reports = dict(sorted(table.reports.items()))
    table.last_seq = max(table.reports, default=0)
    for session in table.sessions.values():
        if session.run:
            _take_over(table, session, session.run, found.get(session.name, Found()), now_ns)
    return table


def _take_over(table: Table, session: Session, run: Run, found: Found, now_ns: int) -> None:
    run.gate, run.pidfd, run.fds = -1, found.pidfd, _without_stdin(found.fds) if _closed_stdin(run) else found.fds
    run.worker = Worker(found.worker_pid, found.worker_pidfd, started_ns=now_ns)
    if run.program is ProgramState.GONE:
        return
    run.output = OutputState.FLOWING if found.has_run else OutputState.NONE
    if found.pidfd >= 0:
        run.program = ProgramState.RUNNING if found.has_run else ProgramState.RELEASED
        return
    status, ended_ns = _last_word(run, found.word, now_ns)
    table.exited(session, run, status, ended_ns)


def _last_word(run: Run, word: LastWord | None, now_ns: int) -> tuple[WaitStatus, int]:
    if word is None or word.epoch != run.epoch:
        return Unseen(), now_ns
    return wait_status(word.status), word.time_ns


def _closed_stdin(run: Run) -> bool:
    return isinstance(run.fds, PipeFds) and run.fds.stdin < 0


def _without_stdin(fds: PtyFds | PipeFds | None) -> PtyFds | PipeFds | None:
    return PipeFds(-1, fds.stdout, fds.stderr) if isinstance(fds, PipeFds) else fds
