"""A short storm, as it is run by hand for hours: `python -m tests.chaos.storm`."""

import random
from pathlib import Path

from tests.chaos.storm import GENTLE, run


def test_a_short_storm_that_spares_nobody(tmp_path: Path) -> None:
    """Workers, routers, supervisors, then keepers: the books balance."""
    seed = random.SystemRandom().randrange(1 << 32)
    assert run(2, 8, 4, seed, 0.05, str(tmp_path), GENTLE), f"again with --seed {seed}"
