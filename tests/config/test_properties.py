"""What must hold of any fleet file."""

import string
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import ConfigErrors, Fleet, Problem, Surroundings, diff, load
from config.example import EXAMPLE
from tests.config.fleets import fleets
from tests.config.support import load_text, write
from tests.config.test_surface import SURFACE
from tests.config.written import to_toml, written

FILES = {"some.env": "A=1\n", "secret": "x\n", "secrets/token": "x", ".env": "", "conf.d/db.toml": ""}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("fleet")
    write(found, FILES)
    return found


@given(tables=fleets())
@settings(deadline=None)
def test_any_fleet_comes_back(directory: Path, tables: dict[str, Any]) -> None:
    """A fleet written out in full means the same fleet; and each field holds what its type says."""
    fleet = load_with(directory, to_toml(tables), Everything("{n} ${X}"))
    again = load_with(directory, to_toml(written(fleet)), Everything("nothing is left to replace"))
    assert again == fleet
    assert diff(fleet, again).is_empty
    assert msgspec.convert(msgspec.to_builtins(fleet), Fleet) == fleet


SCRAPS = st.sampled_from(
    [
        *string.printable,
        "\0",
        "é",
        "[",
        "]]",
        '"""',
        "'''",
        "${",
        "${A}",
        "{name}",
        "\n[session.a]\n",
        "\n[fleet]\n",
        "= {",
        "1e999",
    ]
)


@st.composite
def mutations(draw: Any) -> str:
    """A good file after a few accidents."""
    text: str = draw(st.sampled_from([SURFACE, EXAMPLE, SURFACE[:1500]]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.sampled_from([0, 1, 3, 40, 400]))
        kept = text[start : start + length]
        text = text[:start] + draw(SCRAPS | st.just(kept * 2) | st.just("")) + text[start + length :]
    return text


@given(text=mutations())
@settings(deadline=None, max_examples=300)
def test_mutations_are_errors_with_lines(directory: Path, text: str) -> None:
    """Whatever happens to the text, it loads or is refused, and each error names a line that exists."""
    for problem in problems_of(directory, text):
        assert problem.file == "ringvisor.toml"
        assert 1 <= problem.line <= text.count("\n") + 1, problem


@given(text=st.text(max_size=80) | st.text(alphabet="[]{}=\"\n.a1'#", max_size=60))
@settings(deadline=None)
def test_any_text(directory: Path, text: str) -> None:
    """Also where it never was a fleet file."""
    assert all(problem.line >= 1 for problem in problems_of(directory, text))


class Everything(dict[str, str]):
    """An environment in which every variable has the same value, but for those that say where directories are."""

    def __init__(self, value: str) -> None:
        super().__init__()
        self.value = value

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]  # always a text
        return "" if name.startswith("XDG_") else default or self.value


def load_with(directory: Path, text: str, env: Everything) -> Fleet:
    write(directory, {"ringvisor.toml": text})
    return load("ringvisor.toml", around=Surroundings(env=env, home="/home/ann", uid=1000, cwd=str(directory))).fleet


def problems_of(directory: Path, text: str) -> tuple[Problem, ...]:
    """Nothing but ConfigErrors is raised, and never without a problem in it."""
    try:
        load_text(directory, text)
    except ConfigErrors as errors:
        return errors.problems or (Problem("", 0, "", "no problem in the errors"),)
    return ()
