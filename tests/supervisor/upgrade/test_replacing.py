"""The keeper replaces a worker or a service because it is told to: that is no crash, and counts as none."""

import os
import signal

import pytest

from supervisor.keeper.messages import (
    Done,
    OutputEnded,
    ProgramExited,
    Refused,
    ReplaceService,
    ReplaceWorker,
    ServiceDied,
    ServiceStarted,
    Started,
    WorkerDied,
    WorkerStarted,
    WorkerStopped,
)
from tests.support.keeper import KeeperUnderTest, Supervisor, program, running_keeper, shell


@pytest.fixture
def keeper(shm_dir):
    with running_keeper(shm_dir, router=True) as keeper:
        yield keeper


def test_workers_are_replaced_as_often_as_one_likes(keeper: KeeperUnderTest, supervisor: Supervisor) -> None:
    """At once each time, where workers that crash so often would have to wait; the program notices nothing."""
    supervisor.create("s")
    supervisor.start("s", 1, shell("read line; echo $line; exit 5"))
    pid = supervisor.expect(Started).pid
    worker = supervisor.expect(WorkerStarted).pid
    for _ in range(5):
        assert isinstance(supervisor.ask(ReplaceWorker, "s", 1), Done)
        before, worker = worker, supervisor.expect(WorkerStarted).pid
        assert worker != before
    assert not [message for message in supervisor.unread if isinstance(message, WorkerDied)]
    assert supervisor.row("s").pid == pid
    os.kill(pid, signal.SIGKILL)
    supervisor.ack(supervisor.expect(ProgramExited).seq)
    supervisor.expect(OutputEnded)


def test_a_stopped_worker_is_left_to_whoever_stopped_it(keeper: KeeperUnderTest, supervisor: Supervisor) -> None:
    """It says so; and so does a session without one."""
    supervisor.create("s")
    assert isinstance(supervisor.ask(ReplaceWorker, "s", 1), Refused)
    supervisor.start("s", 1, program("cat"))
    worker = supervisor.expect(WorkerStarted).pid
    os.kill(worker, signal.SIGSTOP)
    supervisor.expect(WorkerStopped, is_stopped=True)
    refused = supervisor.ask(ReplaceWorker, "s", 1)
    assert isinstance(refused, Refused)
    assert "stopped" in refused.reason
    assert supervisor.row("s").worker_pid == worker


def test_the_end_of_a_session_that_comes_first_is_its_end(keeper: KeeperUnderTest, supervisor: Supervisor) -> None:
    """A worker that was asked to make place and had read everything ends the output, once."""
    supervisor.create("s")
    keeper.write("s.worker", "exit 0")
    supervisor.start("s", 1, shell("read line"))
    supervisor.expect(WorkerStarted)
    supervisor.expect(OutputEnded)
    assert isinstance(supervisor.ask(ReplaceWorker, "s", 1), Refused)


def test_services_are_replaced_without_a_death(keeper: KeeperUnderTest, supervisor: Supervisor) -> None:
    """Again and again, at once; one that does not exist is refused."""
    assert isinstance(supervisor.ask(ReplaceService, "nobody"), Refused)
    while not (router := _router(supervisor)):
        pass
    for _ in range(3):
        assert isinstance(supervisor.ask(ReplaceService, "router"), Done)
        before, router = router, supervisor.expect(ServiceStarted, lambda news, old=router: news.pid != old).pid
        assert router != before
    assert not [message for message in supervisor.unread if isinstance(message, ServiceDied)]


def _router(supervisor: Supervisor) -> int:
    return next(row.pid for row in supervisor.table().services if row.name == "router")
