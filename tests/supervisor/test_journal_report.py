"""ringvisord replay: real decisions come out the same; one that was decided otherwise is shown, and the exit code 1."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec import structs

from supervisor.command_line import ringvisord
from supervisor.lifecycle.journal import Decision, Journal, Opening
from tests.supervisor.test_journal import crashing, written


def replay(path: Path, *options: str) -> Result:
    return CliRunner().invoke(ringvisord, ["replay", str(path), *options], obj=-1)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    (tmp_path / "journal").write_bytes(written(crashing()))
    return tmp_path / "journal"


def test_the_machine_decides_the_same_again(journal: Path) -> None:
    result = replay(journal)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert "web  StartRequested()  STOPPED -> STARTING  does StartProgram(epoch=1)" in lines[0]
    assert "STARTING -> BACKOFF" in lines[2]
    assert "backoff due in" in lines[2]
    assert lines[-1] == "4 decisions, none decided differently now"


def test_json_has_each_decision_with_its_event_states_effects_and_deadline(journal: Path) -> None:
    document = json.loads(replay(journal, "--json").stdout)
    assert {key: document[key] for key in ("version", "differing", "damages")} == {
        "version": 1,
        "differing": 0,
        "damages": 0,
    }
    crash = document["decisions"][2]
    assert crash.keys() == {"time", "session", "event", "from", "to", "effects", "deadline", "same", "now"}
    assert (crash["event"]["type"], crash["from"], crash["to"]) == ("ProgramExited", "STARTING", "BACKOFF")
    assert crash["deadline"]["kind"] == "backoff"
    assert {"type": "Acknowledge", "seq": 1} in crash["effects"]


def _with_other_outcome(decisions: list[Decision]) -> list[Decision]:
    then = decisions[2]
    return [*decisions[:2], structs.replace(then, after=structs.replace(then.after, restarts=7)), *decisions[3:]]


def test_what_was_decided_otherwise_is_shown_and_is_a_failure(journal: Path) -> None:
    journal.write_bytes(written(_with_other_outcome(crashing())))
    result = replay(journal)
    assert result.exit_code == 1
    assert "        restarts: then 7, now 1" in result.stdout.splitlines()
    document = json.loads(replay(journal, "--json").stdout)
    assert document["differing"] == 2  # the next one is judged from where the journal says that it stood
    assert document["decisions"][2]["now"]["state"] == "BACKOFF"


def test_what_the_machine_refuses_now_is_shown(journal: Path) -> None:
    first, *_ = crashing()
    journal.write_bytes(written([first, structs.replace(first, wall_s=first.wall_s + 1)]))
    result = replay(journal)
    assert result.exit_code == 1
    assert "    DIFFERS: the machine refuses it now" in result.stdout.splitlines()


def test_a_directory_is_both_parts_and_each_decision_once(journal: Path) -> None:
    """The new part begins with what the old one has, too."""
    keeper = Journal()
    old = written(crashing()[:3], journal=keeper)
    after = crashing()[2].after
    new = keeper.opening(Opening(1.0, 2.0, "boot-1"), [after]) + keeper.decided(crashing()[3])
    (journal.parent / "journal.1").write_bytes(old)
    journal.write_bytes(new)
    result = replay(journal.parent)
    assert result.stdout.splitlines()[-1] == "4 decisions, none decided differently now"


def test_a_torn_end_is_said_and_no_difference(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:-7])
    result = replay(journal)
    assert result.exit_code == 0
    assert result.stderr == f"{journal} is damaged: 1 pieces left out\n"


@pytest.mark.parametrize("content", [b"", b"no journal at all"])
def test_what_is_no_journal_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    result = replay(tmp_path / "other")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path}/other holds no journal of ringvisord")
