"""What attach, send and expect ask: where a session is, how it ended, whose size its terminal has."""

from collections.abc import Iterator
from typing import Any

import pytest

from supervisor.cli.exit_words import exit_words
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.operating import Operator, SessionPlace
from supervisor.cli.places import Wanted
from supervisor.control import messages as control
from supervisor.control.client import NotPermittedError
from supervisor.control.server import Client
from tests.supervisor.cli.conftest import Ringctl
from tests.supervisor.cli.stand_in_fleet import StandInFleet, session


@pytest.fixture
def fleet(tmp_path: Any, clean_env: None) -> Iterator[StandInFleet]:
    running = StandInFleet(str(tmp_path / "run"), ring_dir="/dev/shm/rings")
    running.add(session("web-0", group="web"), session("web-1", group="web"))
    running.add(session("job", "EXITED", epoch=3, exit={"reason": "exited", "code": 3}))
    yield running
    running.close()


@pytest.fixture
def operator(fleet: StandInFleet) -> Operator:
    return Operator(Wanted(socket=fleet.socket))


@pytest.mark.parametrize("written", ["web-0", "web:web-0"])
def test_a_session_has_a_place(operator: Operator, fleet: StandInFleet, written: str) -> None:
    assert operator.place(written) == SessionPlace(fleet.runtime_dir, "/dev/shm/rings", "web-0")


@pytest.mark.parametrize(("written", "code"), [("nope", Exit.NO_SUCH), ("web:*", Exit.USAGE)])
def test_one_session_must_be_meant(operator: Operator, written: str, code: Exit) -> None:
    with pytest.raises(Refusal) as refusal:
        operator.place(written)
    assert refusal.value.code is code


def test_without_a_supervisor_the_place_is_known_all_the_same(operator: Operator, fleet: StandInFleet) -> None:
    fleet.close()
    assert operator.place("web:web-0").session == "web-0"
    assert operator.how_ended("web-0", 1) is None
    assert operator.resize_policy("web-0") is None


def test_a_stranger_is_told_so(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise NotPermittedError("not permitted")

    monkeypatch.setattr(operator, "connect", refuse)
    with pytest.raises(NotPermittedError):
        operator.place("web-0")


def test_how_an_epoch_ended_is_said_of_that_epoch_only(operator: Operator) -> None:
    assert operator.how_ended("job", 3) == "exit code 3"
    assert operator.how_ended("job", 2) is None
    assert operator.how_ended("web-0", 1) is None


def test_the_resize_policy_is_that_of_the_settings(operator: Operator, fleet: StandInFleet) -> None:
    facts: dict[str, Any] = {"spec": {"io": {"tty": {"resize": "latest"}}}}

    def inspect(client: Client, request: Any) -> None:
        client.tell(control.Facts(request.id, facts))

    fleet.script["Inspect"] = inspect
    assert operator.resize_policy("web:web-0") == "latest"
    assert [request.session for request in fleet.asked(control.Inspect)] == ["web-0"]
    facts["spec"] = {"io": "pipe"}
    assert operator.resize_policy("web-0") is None


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ({"reason": "exited", "code": 3}, "exit code 3"),
        ({"reason": "signalled", "signal": "SIGSEGV"}, "killed by SIGSEGV"),
        ({"reason": "oom"}, "out of memory"),
        (
            {"reason": "spawn_failed", "errno": "ENOENT", "message": "no such file"},
            "could not be started: no such file",
        ),
        ({"reason": "limit", "which": "total"}, "beyond its limit: total"),
        ({"reason": "stopped", "by": "operator"}, "stopped by operator"),
        ({"reason": "stopped"}, "stopped"),
        ({"reason": "lost", "phase": "x"}, "lost"),
        ({}, "unknown"),
    ],
)
def test_reasons_in_words(reason: dict[str, Any], words: str) -> None:
    assert exit_words(reason) == words


def test_fg_is_attach(fleet: StandInFleet) -> None:
    """Without a terminal attach says what it needs, and so does fg."""
    ctl = Ringctl(fleet.socket)
    fg, attach = ctl("fg", "web-0"), ctl("attach", "web-0")
    assert fg.exit_code == attach.exit_code == Exit.USAGE
    assert fg.stderr.splitlines() == ["ringctl: fg web-0 is attach web-0", attach.stderr.strip()]
