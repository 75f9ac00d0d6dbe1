"""Deaths of processes that the keeper did not fork."""

import time
from collections.abc import Iterator

import pytest

from supervisor.keeper.children import Death
from supervisor.keeper.loop import Loop
from supervisor.keeper.messages import Exited, Signalled, Unseen
from supervisor.keeper.wards import MOMENT_S, Wards
from tests.support.stranger import Stranger, knows_exit_of_the_reaped

_SINCE_6_15 = pytest.mark.skipif(not knows_exit_of_the_reaped(), reason="PIDFD_INFO_EXIT needs Linux 6.15")


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def death_of(loop: Loop, wards: Wards, stranger: Stranger, *, pid: int, reap: bool) -> Death:
    told: list[Death] = []
    wards.expect(pid, stranger.pidfd, told.append)
    stranger.end()
    if reap:
        stranger.reap()
    while not told:
        loop.run_once()
    stranger.close()
    (death,) = told
    return death


@pytest.mark.parametrize(("how", "status"), [("5", Exited(5)), ("SIGTERM", Signalled(15, core=False))])
@pytest.mark.parametrize("reap", [pytest.param("reaped", marks=_SINCE_6_15), ""])
def test_how_it_ended_is_told_reaped_or_not(loop: Loop, how: str, status: object, reap: str) -> None:
    """By the kernel once it was reaped; by its zombie where the reaper takes its time."""
    stranger = Stranger(how)
    began_ns = time.monotonic_ns()
    death = death_of(loop, Wards(loop), stranger, pid=stranger.pid, reap=bool(reap))
    assert death.status == status
    assert began_ns < death.time_ns < time.monotonic_ns()


def test_an_end_that_cannot_be_known_is_unseen_in_the_end(loop: Loop) -> None:
    """Nobody reaps it, and its zombie shows nothing: here, because we look at another one's."""
    stranger = Stranger("5")
    assert death_of(loop, Wards(loop, while_s=2 * MOMENT_S), stranger, pid=1, reap=False).status == Unseen()


def test_a_handler_that_is_called_for_nothing_does_nothing(loop: Loop) -> None:
    """A batch of events may hold one of an fd whose number has changed hands."""
    stranger = Stranger("5")
    told: list[Death] = []
    Wards(loop).expect(stranger.pid, stranger.pidfd, told.append)
    loop._handlers[stranger.pidfd]()
    assert told == []
    stranger.close()
