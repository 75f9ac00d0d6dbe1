"""Which fleet is meant, and what happens when none can be told."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ipc.framing import frame
from supervisor.cli.exits import Exit
from supervisor.cli.main import ringctl
from supervisor.control.messages import Goodbye, encode
from tests.supervisor.cli.stand_in_fleet import StandInFleet, mute_listener


def run(*words: str, **more: Any) -> Result:
    return CliRunner().invoke(ringctl, list(words), **more)


class Fleets:
    def __init__(self, base: Path, stack: ExitStack) -> None:
        self._base = base
        self._stack = stack

    def start(self, name: str, **record: Any) -> StandInFleet:
        self._base.mkdir(parents=True, exist_ok=True)
        fleet = StandInFleet(str(self._base / name), name=name, **record)
        self._stack.callback(fleet.close)
        return fleet

    def leave_behind(self, name: str) -> Path:
        """What a killed fleet leaves: a record, and a socket that nobody listens at."""
        directory = self._base / name
        directory.mkdir(parents=True)
        (directory / "fleet.json").write_text(json.dumps({"name": name}))
        with mute_listener(str(directory / "control.sock"), lambda _: None):
            pass
        return directory


@pytest.fixture
def fleets(tmp_path: Path, clean_env: None) -> Iterator[Fleets]:
    with ExitStack() as stack:
        yield Fleets(tmp_path / "xdg" / "ringvisor", stack)


def write_config(path: Path, name: str, runtime_dir: str) -> Path:
    path.write_text(f'[fleet]\nname = "{name}"\nruntime_dir = "{runtime_dir}"\n[session.x]\ncommand = "true"\n')
    return path


def test_the_only_fleet_that_runs_is_meant(fleets: Fleets) -> None:
    fleets.start("one")
    assert json.loads(run("version", "--json").stdout)["fleet"] == "one"


def test_of_several_one_must_be_named(fleets: Fleets) -> None:
    fleets.start("one")
    fleets.start("two")
    result = run("version")
    assert result.exit_code == Exit.USAGE
    assert "several fleets run here: one, two; say which one with -n NAME" in result.stderr
    assert json.loads(run("-n", "two", "version", "--json").stdout)["fleet"] == "two"


def test_a_fleet_that_has_ended_stands_in_nobodys_way(fleets: Fleets) -> None:
    fleets.leave_behind("dead")
    fleets.start("one")
    assert json.loads(run("version", "--json").stdout)["fleet"] == "one"


def test_nobody_answers_names_the_places(fleets: Fleets, tmp_path: Path) -> None:
    result = run("status")
    assert result.exit_code == Exit.NO_ANSWER
    assert f"{tmp_path}/xdg/ringvisor/*/control.sock" in result.stderr
    assert f"/tmp/ringvisor-{os.getuid()}/*/control.sock" in result.stderr
    assert f"{tmp_path}/ringvisor.toml" in result.stderr


def test_the_fleet_file_says_where(fleets: Fleets, tmp_path: Path) -> None:
    fleet = StandInFleet(str(tmp_path / "own"), name="own")
    fleets._stack.callback(fleet.close)
    path = write_config(tmp_path / "x.toml", "own", "own")
    assert json.loads(run("-c", str(path), "version", "--json").stdout)["fleet"] == "own"
    env = {"RINGVISOR_CONFIG": str(path)}
    assert json.loads(run("version", "--json", env=env).stdout)["fleet"] == "own"


def test_a_file_never_leads_to_another_fleet(fleets: Fleets, tmp_path: Path) -> None:
    """A shutdown that was meant for a fleet that does not run must not end the one that does."""
    other = fleets.start("other")
    write_config(tmp_path / "ringvisor.toml", "mine", "own")
    result = run("shutdown", "--no-wait")
    assert result.exit_code == Exit.NO_ANSWER
    assert f"{tmp_path}/own/control.sock" in result.stderr
    assert other.requests == []


def test_a_broken_file_leads_only_to_the_fleet_that_was_started_from_it(fleets: Fleets, tmp_path: Path) -> None:
    path = tmp_path / "ringvisor.toml"
    path.write_text("[fleet]\nname = 5\n")
    other = fleets.start("other", config="/etc/other.toml")
    result = run("version")
    assert result.exit_code == Exit.NO_ANSWER
    assert "fleet.name" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert other.requests == []
    fleets.start("mine", config=str(path))
    assert json.loads(run("version", "--json").stdout)["fleet"] == "mine"


def test_sessions_of_the_file_may_be_wrong_for_all_that_ringctl_cares(fleets: Fleets, tmp_path: Path) -> None:
    path = write_config(tmp_path / "ringvisor.toml", "one", str(tmp_path / "xdg/ringvisor/one"))
    path.write_text(path.read_text() + "wrong = 1\n")
    fleets.start("one")
    assert run("version").exit_code == Exit.DONE


def test_a_file_that_is_not_there_is_wrong_usage(fleets: Fleets) -> None:
    result = run("-c", "nope.toml", "status")
    assert result.exit_code == Exit.USAGE
    assert "nope.toml" in result.stderr


def test_a_fleet_that_is_not_there(fleets: Fleets, tmp_path: Path) -> None:
    result = run("-n", "nope", "status")
    assert result.exit_code == Exit.NO_ANSWER
    assert f"{tmp_path}/xdg/ringvisor/nope" in result.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_what_another_user_put_there_is_not_looked_at(fleets: Fleets, tmp_path: Path) -> None:
    """/tmp is everybody's: a socket below a stranger's directory would learn what is typed."""
    fleets.start("one")
    os.chown(tmp_path / "xdg" / "ringvisor", 12345, 12345)
    assert run("version").exit_code == Exit.NO_ANSWER


def test_a_fleet_of_another_user_is_not_permitted(fleets: Fleets, tmp_path: Path) -> None:
    goodbye = frame(encode(Goodbye("not permitted: this fleet belongs to another user")))
    path = str(tmp_path / "s.sock")
    with mute_listener(path, lambda sock: sock.sendall(goodbye)):
        result = run("-s", path, "start", "x")
    assert result.exit_code == Exit.NO_SUCH
    assert "belongs to another user; run ringctl as the user of the fleet" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05\x00\x00\x00hello", b"\xff\xff\xff\xff"])
def test_what_does_not_speak_our_language_is_nobody(fleets: Fleets, tmp_path: Path, said: bytes) -> None:
    path = str(tmp_path / "s.sock")
    with mute_listener(path, lambda sock: sock.sendall(said)):
        result = run("-s", path, "status")
    assert result.exit_code == Exit.NO_ANSWER
    assert len(result.stderr.splitlines()) == 1
    assert "mistake" not in result.stderr


def test_a_path_longer_than_a_socket_address_holds(fleets: Fleets, tmp_path: Path) -> None:
    long = tmp_path / ("d" * 60) / ("e" * 60)
    long.mkdir(parents=True)
    fleet = StandInFleet(str(long), name="deep")
    fleets._stack.callback(fleet.close)
    assert run("-s", fleet.socket, "version").exit_code == Exit.DONE


def test_fleets_lists_what_runs_and_what_has_ended(fleets: Fleets, tmp_path: Path) -> None:
    fleets.start("one", config="/etc/one.toml")
    dead = fleets.leave_behind("dead")
    result = run("fleets")
    assert result.stdout.splitlines() == [
        f"dead                no ringvisord  -             {dead}",
        f"one                 running        {f'pid {os.getpid()}':<14}/etc/one.toml",
    ]
    rows = json.loads(run("fleets", "--json").stdout)["fleets"]
    assert [(row["name"], row["state"], row["release"]) for row in rows] == [
        ("dead", "no ringvisord", ""),
        ("one", "running", "1.2.3"),
    ]


def test_no_fleets_says_where_it_looked(fleets: Fleets, tmp_path: Path) -> None:
    result = run("fleets")
    assert result.exit_code == Exit.DONE
    assert f"no fleets: looked in {tmp_path}/xdg/ringvisor" in result.stdout.replace("/run/ringvisor, ", "")
    assert json.loads(run("fleets", "--json").stdout)["fleets"] == []


def test_a_name_of_no_running_fleet_lists_them_all_the_same(fleets: Fleets) -> None:
    fleets.start("one")
    assert "one " in run("-n", "nope", "fleets").stdout
