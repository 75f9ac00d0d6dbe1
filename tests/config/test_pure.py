"""Who imports what, read from the sources."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import config

PACKAGE = Path(config.__file__).parent
SHELL = {
    "accounts.py",
    "claims.py",
    "environment.py",
    "env_file.py",
    "example.py",
    "load.py",
    "login_shell.py",
    "secrets.py",
    "text_file.py",
    "__init__.py",
}
IMPURE = {
    "os",
    "io",
    "socket",
    "select",
    "selectors",
    "subprocess",
    "threading",
    "time",
    "pathlib",
    "glob",
    "pwd",
    "grp",
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module)):
                yield module


def test_only_the_shell_touches_the_system() -> None:
    """Every decision of this package is a function of values: it can be tried without a file."""
    for path in PACKAGE.glob("*.py"):
        if path.name not in SHELL:
            assert not set(imports(path)) & IMPURE, path.name
            assert not {module for module in imports(path) if module.removeprefix("config.") + ".py" in SHELL}, (
                path.name
            )


def test_no_other_package_of_ours_is_needed() -> None:
    """The standard library, msgspec, and itself."""
    allowed = {*sys.stdlib_module_names, "msgspec", "config"}
    for path in PACKAGE.glob("*.py"):
        assert {module.split(".")[0] for module in imports(path)} <= allowed, path.name
