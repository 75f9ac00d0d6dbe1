"""After every test: no extra fd, child, thread or shared-memory entry."""

import itertools
import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support import leaks
from tests.support.keeper import KeeperUnderTest, Supervisor, running_keeper

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # importing numpy in a test is no thread of its own
leaks.become_subreaper()
# How long an example takes is the machine's business: nothing is asserted about time.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = leaks.footprint()
    yield
    left = leaks.leaks(before)
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture
def shm_dir() -> Iterator[str]:
    """A directory of its own on tmpfs."""
    path = f"{leaks.SHARED_MEMORY}/{leaks.shared_memory_prefix()}{next(_numbers)}"
    os.mkdir(path, 0o700)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def keeper(shm_dir: str) -> Iterator[KeeperUnderTest]:
    with running_keeper(shm_dir) as running:
        yield running


@pytest.fixture
def supervisor(keeper: KeeperUnderTest) -> Supervisor:
    """The test itself, greeted by a keeper that knows no session yet."""
    connected = keeper.supervisor()
    connected.hello()
    return connected
