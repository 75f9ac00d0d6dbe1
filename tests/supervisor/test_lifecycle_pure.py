"""The lifecycle is a function of values: its modules import nothing that reads a clock, opens an fd or rolls dice."""

import ast
import inspect
from pathlib import Path

import msgspec
import pytest

import supervisor.lifecycle
from supervisor.lifecycle import reasons
from supervisor.lifecycle.effects import Effect
from supervisor.lifecycle.events import EVENTS
from supervisor.lifecycle.reasons import ExitReason, in_words

ALLOWED = {
    "collections", "collections.abc", "enum", "fnmatch", "heapq", "ipc.errors", "itertools", "msgspec", "typing",
    "zlib",
}  # fmt: skip
MODULES = sorted(Path(inspect.getfile(supervisor.lifecycle)).parent.glob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports(path):
    """Only values: the standard library's few, msgspec, names of errors, the config's data and each other."""
    foreign = {name for name in imported(path) if not name.startswith(("supervisor.lifecycle.", "config."))}
    assert foreign <= ALLOWED


def test_everything_that_is_remembered_or_told_is_frozen():
    """Or a step could change what it was given."""
    for kind in (*EVENTS, *Effect.__args__, *ExitReason.__args__):
        assert kind.__struct_config__.frozen


def test_exit_reasons_are_the_documented_json():
    """Word for word what `status --json` promises."""
    documented = [
        (reasons.Exited(3), {"reason": "exited", "code": 3}),
        (reasons.Signalled("SIGSEGV"), {"reason": "signalled", "signal": "SIGSEGV"}),
        (reasons.Oom(), {"reason": "oom"}),
        (reasons.SpawnFailed("ENOENT", "no"), {"reason": "spawn_failed", "errno": "ENOENT", "message": "no"}),
        (reasons.Hung("http"), {"reason": "hung", "check": "http"}),
        (reasons.Limit("active"), {"reason": "limit", "which": "active"}),
        (reasons.Lost("open", "network"), {"reason": "lost", "phase": "open", "class": "network"}),
        (reasons.Stopped("eve"), {"reason": "stopped", "by": "eve"}),
        (reasons.Unknown(), {"reason": "unknown"}),
    ]
    assert len(documented) == len(ExitReason.__args__)
    for reason, expected in documented:
        assert msgspec.to_builtins(reason) == expected
        assert msgspec.convert(expected, ExitReason) == reason
        assert in_words(reason)


def test_words_of_a_signal_are_supervisords():
    """Clients look for them."""
    assert in_words(reasons.Signalled("SIGKILL")) == "terminated by SIGKILL"
    assert in_words(reasons.Signalled("SIGSEGV", core=True)) == "terminated by SIGSEGV (core dumped)"
