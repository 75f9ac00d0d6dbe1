"""Each NAME.toml in `bad/` is a fleet that must not load, and NAME.errors is exactly what a user reads about it."""

from pathlib import Path

import pytest

from config import ConfigErrors
from tests.config.support import errors_of, load_text

BAD = Path(__file__).with_name("bad")
F = "ringvisor.toml"
A = '[session.a]\ncommand = "x"\n'


@pytest.mark.parametrize("case", sorted(BAD.glob("*.toml")), ids=lambda case: case.stem)
def test_every_error_at_once(tmp_path: Path, case: Path) -> None:
    """All that is wrong is said in one go: file, line, key path, what, and what may have been meant."""
    expected = case.with_suffix(".errors").read_text().splitlines()
    assert errors_of(tmp_path, case.read_text()) == expected


def test_problems_are_values(tmp_path: Path) -> None:
    """`check --json` needs no parsing of messages."""
    with pytest.raises(ConfigErrors) as caught:
        load_text(tmp_path, A + "prioritty = 1\n")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.key) == (F, 3, "session.a.prioritty")
    assert (problem.message, problem.suggestion) == ("is no key that ringvisor knows", "priority")


def test_inherited_keys_of_another_kind_are_no_mistake(tmp_path: Path) -> None:
    """[defaults] and templates may speak of terminals though some of their sessions have none."""
    text = '[defaults]\ntty = { cols = 80 }\ncontinuity = "spool"\n[session.a]\nio = "pipe"\ncommand = "x"\n'
    assert errors_of(tmp_path, text) == []
