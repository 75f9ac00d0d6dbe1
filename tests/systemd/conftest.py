"""Machines for the tests in this directory, each of which leaves its fleet running."""

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


@pytest.fixture(scope="module", params=["unified", "hybrid"])
def machine(
    wheels: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Machine]:
    unified = request.param == "unified"
    if not unified and os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        pytest.skip("this machine has no cgroups of version 1")
    with booted("ringvisor", tmp_path_factory.mktemp("machine"), wheels, unified=unified) as machine:
        yield machine
