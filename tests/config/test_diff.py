from pathlib import Path

import pytest

from config import Applied, KeyChange, diff
from tests.config.support import load_text

BASE = """
[fleet]
name = "f"
[session.a]
command = "x"
limits = { memory_max = "1G", pids = 3 }
log = { keep = 2 }
[session.b]
io = "ssh"
host = "h"
[session.c]
command = "x"
instances = 2
[host.h]
address = "one"
jump = "j"
[host.j]
[hook.k]
command = "x"
"""


def plan(tmp_path: Path, *replacements: tuple[str, str]) -> object:
    text = BASE
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return diff(load_text(tmp_path, BASE).fleet, load_text(tmp_path, text).fleet)


def test_equal_fleets(tmp_path: Path) -> None:
    """Nothing to do, whatever order or shorthand the file uses."""
    same = plan(
        tmp_path, ("log = { keep = 2 }\n", ""), ('command = "x"\nlimits', 'command = ["x"]\nlog.keep = 2\nlimits')
    )
    assert same.is_empty
    assert same.kept == ("a", "b", "c-0", "c-1")


def test_sessions_come_and_go(tmp_path: Path) -> None:
    """Another number of instances touches only the difference."""
    more = plan(tmp_path, ("instances = 2", "instances = 3"))
    assert (more.added, more.removed, more.changed) == (("c-2",), (), ())
    fewer = plan(tmp_path, ("instances = 2", "instances = 1"))
    assert (fewer.added, fewer.removed, fewer.changed) == ((), ("c-1",), ())
    assert not fewer.is_empty


@pytest.mark.parametrize(
    ("old", "new", "expected", "applied"),
    [
        ("memory_max", "memory_high", [("limits.memory_max", "live"), ("limits.memory_high", "live")], "live"),
        (
            'command = "x"\nlimits',
            'command = "y"\nautostart = false\nlimits',
            [("command", "restart"), ("autostart", "next_start")],
            "restart",
        ),
        ("log = { keep = 2 }", "log = false", [("log", "live")], "live"),
        ("log = { keep = 2 }", 'log = { keep = 3, path = "z" }', [("log.path", "live"), ("log.keep", "live")], "live"),
        (
            "log = { keep",
            'tty = { cols = 1, term = "vt" }\nlog = { keep',
            [("tty.cols", "live"), ("tty.term", "restart")],
            "restart",
        ),
        ("log = { keep", 'io = "pipe"\nlog = { keep', [("io", "restart")], "restart"),
        ("log = { keep", 'ring = "16M"\nlog = { keep', [("ring.max_size", "live")], "live"),
        ("log = { keep", 'ring.size = "1M"\nlog = { keep', [("ring.size", "next_start")], "next_start"),
    ],
)
def test_changed_keys(tmp_path: Path, old: str, new: str, expected: list[tuple[str, str]], applied: str) -> None:
    """Each changed key is named, with how it takes effect; the session needs the strongest of them."""
    changed = plan(tmp_path, (old, new)).changed
    assert [change.name for change in changed] == ["a"]
    assert changed[0].keys == tuple(KeyChange(key, Applied(how)) for key, how in expected)
    assert changed[0].applied == applied


def test_hosts_are_part_of_their_sessions(tmp_path: Path) -> None:
    """Also those on the way; a change waits for the next connection. Another host is another place: restart."""
    changed = plan(tmp_path, ('"one"', '"two"'), ("[host.j]", "[host.j]\nport = 23")).changed
    assert [change.name for change in changed] == ["b"]
    assert changed[0].keys == (
        KeyChange("host.h.address", Applied.NEXT_START),
        KeyChange("host.j.port", Applied.NEXT_START),
    )
    elsewhere = plan(tmp_path, ('host = "h"', 'host = "j"')).changed
    assert elsewhere[0].keys == (KeyChange("host", Applied.RESTART),)


def test_fleet_table_and_hooks(tmp_path: Path) -> None:
    """What belongs to no session: directories need ringvisord itself to start again."""
    changed = plan(
        tmp_path,
        ('name = "f"', 'name = "f"\nruntime_dir = "/r"\nring_memory = "1G"'),
        ('hook.k]\ncommand = "x"', 'hook.k]\ncommand = "y"'),
    )
    assert changed.changed == ()
    assert changed.fleet == (
        KeyChange("runtime_dir", Applied.RESTART),
        KeyChange("ring_memory", Applied.LIVE),
        KeyChange("hook.k", Applied.LIVE),
    )
    assert not changed.is_empty
