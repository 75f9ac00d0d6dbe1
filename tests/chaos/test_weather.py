"""Some minutes of hostile weather are run by hand: `python -m tests.chaos.weather`. Here it rains for seconds."""

import random
from pathlib import Path

from tests.chaos.weather import run


def test_a_shower(tmp_path: Path) -> None:
    """Whatever the chance picks of all faults there are: in the end the books balance."""
    seed = random.SystemRandom().randrange(1 << 32)
    assert run(tmp_path, sessions=6, faults=20, seconds=6.0, seed=seed), f"again with seed {seed}"
