"""Two upgrades under a little load, as it is run by hand with more: `python -m tests.chaos.upgrades`."""

from pathlib import Path

from tests.chaos.upgrades import run


def test_two_upgrades_under_load(tmp_path: Path) -> None:
    """No byte is lost, in or out, and no program notices."""
    assert run(tmp_path, times=2, sessions=4, bytes_per_second=102_400, quiet_s=0.1) == []
