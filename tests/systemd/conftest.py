"""Machines for the tests in this directory, each of which leaves its fleet running."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.machine import Machine, booted, build_wheels, why_not


@pytest.fixture(autouse=True)
def nothing_left_behind() -> None:
    """A machine is one process out here, and ends with its fixture."""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if reason := why_not():
        pytest.skip(reason)
    target = tmp_path_factory.mktemp("wheels")
    build_wheels(target)
    return target


@pytest.fixture(scope="module", params=["bookworm-unified", "bookworm-hybrid", "trixie-unified"])
def machine(
    wheels: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Machine]:
    release, _, cgroups = request.param.partition("-")
    if cgroups == "hybrid" and os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        pytest.skip("this machine has no cgroups of version 1")
    directory = tmp_path_factory.mktemp("machine")
    with booted("ringvisor", release, directory, wheels, unified=cgroups == "unified") as machine:
        yield machine


@pytest.fixture(scope="session")
def a_controller() -> Iterator[str]:
    """One that machines may use: where version 1 has the others, what is left for version 2."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        yield "pids"
        return
    try:
        left = Path("/sys/fs/cgroup/unified/cgroup.controllers").read_text().split()
        control = Path("/sys/fs/cgroup/unified/cgroup.subtree_control")
        control.write_text(f"+{left[0]}")
    except (OSError, IndexError):
        pytest.skip("no controller is left for cgroups of version 2")
    yield left[0]
    with contextlib.suppress(OSError):  # a machine still uses it
        control.write_text(f"-{left[0]}")
