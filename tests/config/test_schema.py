import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from config.example import EXAMPLE
from config.schema import fleet_schema
from tests.config.test_surface import SURFACE

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads(json.dumps(fleet_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("text", [SURFACE, EXAMPLE, ""], ids=["surface", "example", "empty"])
def test_what_loads_is_valid(validator: Any, text: str) -> None:
    """An editor marks nothing in the documented examples."""
    assert [error.message for error in validator.iter_errors(tomllib.loads(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "sesion.a = 1",
        '[session.a]\ncomand = "x"',
        '[session.a]\nrestart = "on-failrue"',
        '[session.a]\nring = { sise = "1K" }',
        '[session.a]\nring = { size = "1Q" }',
        '[session.a]\nhealth = [{ type = "http" }]',
        '[session.a]\nhealth = [{ type = "tcp", port = 0 }]',
        '[session."a b"]\ncommand = "x"',
        '[session.a.env]\n"a b" = "x"',
        "[session.a]\ntty = true",
        "[session.a]\nstop = { timeout = -1 }",
        '[host.h]\nport = "x"',
    ],
)
def test_what_is_plainly_wrong_is_not(validator: Any, text: str) -> None:
    """Spelling, types and closed sets are known to the editor."""
    assert not validator.is_valid(tomllib.loads(text))


def test_placeholders_pass_everywhere(validator: Any) -> None:
    """Text that something is replaced in may become anything."""
    text = '[session.a]\npriority = "${P:-3}"\nring = "${R}"\nhealth = [{ type = "tcp", port = "80{n}" }]\n'
    assert validator.is_valid(tomllib.loads(text))


def described(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property below the top level."""
    if isinstance(schema, dict):
        for name, item in schema.get("properties", {}).items():
            yield f"{path}.{name}", item
        for name, item in schema.items():
            yield from described(item, f"{path}.{name}")
    elif isinstance(schema, list):
        for item in schema:
            yield from described(item, path)


def test_every_key_says_what_it_is_and_how_it_is_applied() -> None:
    """`ringvisord schema` is documentation, too."""
    schema = fleet_schema()
    keys = [
        (path, item) for path, item in described(schema["properties"] | schema["$defs"]) if not path.endswith(".type")
    ]
    assert len(keys) > 100
    for path, item in keys:
        if "x-applied" not in item:
            assert path.endswith(".file"), path
            continue
        assert item["x-applied"] in {"live", "next_start", "restart"}
        assert item["description"].endswith(f"(applied: {item['x-applied']})")
