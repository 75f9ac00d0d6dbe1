"""Sessions for the tests of the worker."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.worker_process import WorkerRig


@pytest.fixture
def rig(shm_dir: str) -> Iterator[Callable[..., WorkerRig]]:
    """`rig(argv, ...)`: a program, its worker and its reader; all gone when the test is over."""
    with contextlib.ExitStack() as stack:

        def start(argv: list[str], **settings: Any) -> WorkerRig:
            return stack.enter_context(WorkerRig(shm_dir, argv, **settings))

        yield start


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """A program that opens it waits for us to open it too."""
    path = str(tmp_path / "go")
    os.mkfifo(path)
    return path
