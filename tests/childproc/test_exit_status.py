"""How a process ended that is not our child."""

import ctypes
import os
import signal
from collections.abc import Iterator

import pytest

from childproc.exit_status import exit_status, is_dead, status_of_zombie, status_when_reaped, wait_reaped
from childproc.identity import Identity, identify, open_pidfd
from tests.support.stranger import Stranger, knows_exit_of_the_reaped


@pytest.fixture(params=["0", "3", "SIGKILL", "SIGTERM"])
def stranger(request: pytest.FixtureRequest) -> Iterator[Stranger]:
    made = Stranger(request.param)
    yield made
    made.close()


def raw(how: str) -> int:
    return int(how) << 8 if how.isdigit() else int(signal.Signals[how])


def test_a_living_process_has_not_ended(stranger: Stranger) -> None:
    """And says nothing of how it will."""
    assert not is_dead(stranger.pidfd)
    assert exit_status(stranger.pid, stranger.pidfd) is None


def test_a_zombie_shows_how_it_ended(stranger: Stranger) -> None:
    """Also that it ended well, to those who may look."""
    stranger.end()
    assert is_dead(stranger.pidfd)
    assert status_when_reaped(stranger.pidfd) is None
    assert status_of_zombie(stranger.pid, stranger.pidfd) == raw(stranger.how)


@pytest.mark.skipif(not knows_exit_of_the_reaped(), reason="PIDFD_INFO_EXIT needs Linux 6.15")
def test_who_was_reaped_is_known_to_who_held_it_before(stranger: Stranger) -> None:
    """And its pid is nobody's any more."""
    stranger.end()
    stranger.reap()
    wait_reaped(stranger.pidfd, 20)
    assert status_of_zombie(stranger.pid, stranger.pidfd) is None
    assert exit_status(stranger.pid, stranger.pidfd) == raw(stranger.how)
    assert open_pidfd(stranger.identity) == -1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_zero_that_hides_a_status_is_not_taken_for_one() -> None:
    """Another user's zombie shows 0 to those without ptrace rights, however it ended."""
    made = Stranger("3")
    made.end()
    said, childs_end = os.pipe()
    looker = os.fork()
    if looker == 0:
        os.setgid(65534)
        os.setuid(65534)
        os.write(childs_end, repr(status_of_zombie(made.pid, made.pidfd)).encode())
        os._exit(0)
    os.waitpid(looker, 0)
    assert os.read(said, 32) == b"None"
    os.close(said)
    os.close(childs_end)
    made.close()


def test_another_start_time_is_another_process() -> None:
    """A record that outlived its process must not name the one that has its pid now."""
    own = identify(os.getpid())
    assert open_pidfd(Identity(own.pid, own.start_ticks + 1)) == -1
    pidfd = open_pidfd(own)
    assert pidfd >= 0
    os.close(pidfd)


def test_no_process_has_no_identity() -> None:
    """Neither a pid that nobody has, nor one that nobody can have."""
    assert open_pidfd(Identity(2**22 + 5, 1)) == -1
    assert open_pidfd(Identity(0, 1)) == -1
    with pytest.raises(ProcessLookupError):
        identify(2**22 + 5)


def test_a_thread_is_no_process() -> None:
    """Its number may be what a dead process's pid has become."""
    tid = ctypes.CDLL(None).gettid()
    assert open_pidfd(Identity(tid, 0)) == -1
