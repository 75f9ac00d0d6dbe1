"""The fleet file that `ringvisord init` writes."""

import re
from pathlib import Path

from config.example import EXAMPLE
from tests.config.support import load_text


def test_example_loads(tmp_path: Path) -> None:
    """What `ringvisord init` writes runs as it is."""
    loaded = load_text(tmp_path, EXAMPLE)
    assert loaded.warnings == ()
    assert set(loaded.fleet.sessions) == {"shell", "ticker-0", "ticker-1", "ticker-2"}


def test_example_with_all_its_comments_taken_away(tmp_path: Path) -> None:
    """Each commented line of the example is right as well, in its place."""
    lines = [line.removeprefix("# ") if is_commented_key(line) else line for line in EXAMPLE.splitlines()]
    text = "\n".join(line for line in lines if not line.startswith(("user =", "env = { TICKER")))
    loaded = load_text(tmp_path, text, {".env": "A=1\n", "secrets/token": "x", "conf.d/x.toml": ""})
    assert {"db-shell"} < set(loaded.fleet.sessions)


def is_commented_key(line: str) -> bool:
    return re.match(r"# ([a-z_]+ = |\[)", line) is not None
