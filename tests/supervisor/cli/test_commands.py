"""Each command against a real control server that plays a fleet: what is written, what was asked, how it ends."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from supervisor.cli.catalogue import COMMANDS, NOT_THERE_YET
from supervisor.cli.exits import Exit
from supervisor.control import messages as control
from supervisor.control.messages import Verb
from supervisor.control.server import Client
from tests.supervisor.cli.conftest import Ringctl, run
from tests.supervisor.cli.stand_in_fleet import StandInFleet, happened, session

# --- status ---


def test_status_lists_all_and_exits_3_when_one_is_down(ctl: Ringctl) -> None:
    result = ctl("status")
    assert result.stdout == (
        "cat                              RUNNING   pid 4242, uptime 0:00:06\n"
        "bad                              FATAL     no such file\n"
        "web:web-0                        RUNNING   pid 4242, uptime 0:00:06\n"
        "web:web-1                        STOPPED   Not started\n"
    )
    assert (result.exit_code, result.stderr) == (Exit.NOT_UP, "")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["cat"], Exit.DONE),
        (["cat", "nope"], Exit.NO_SUCH),
        (["bad", "nope"], Exit.NOT_UP),
        (["web:*"], Exit.NOT_UP),
        (["web:web-0"], Exit.DONE),
    ],
)
def test_status_of_some(ctl: Ringctl, names: list[str], code: Exit) -> None:
    result = ctl("status", *names)
    assert result.exit_code == code
    assert ("nope: ERROR (no such process)\n" in result.stdout) is ("nope" in names)
    assert len(result.stderr.splitlines()) == ("nope" in names)


def test_status_json_has_the_promised_shape(ctl: Ringctl) -> None:
    result = ctl("status", "--json", "web-0")
    document = json.loads(result.stdout)
    assert document["version"] == 1
    assert document["fleet"].keys() >= {"name", "state", "pid", "processes", "started_at", "runtime_dir", "config"}
    (one,) = document["sessions"]
    assert one.keys() >= {
        "name", "group", "tags", "state", "desired", "pid", "worker_pid", "epoch", "started_at", "uptime_s", "restarts",
        "exit", "io", "offset", "lost_bytes", "health", "containment", "log",
    }  # fmt: skip
    assert one["containment"] == {"kill": "tree", "memory": "none", "cpu": "none", "pids": "none"}


# --- orders ---


@pytest.mark.parametrize(
    ("words", "lines", "code"),
    [
        (["start", "web-1"], ["web:web-1: started"], Exit.DONE),
        (["start", "cat"], ["cat: ERROR (already started)"], Exit.DONE),
        (["start", "bad"], ["bad: ERROR (spawn error)"], Exit.FAILED),
        (["start", "nope"], ["nope: ERROR (no such process)"], Exit.NO_SUCH),
        (["start", "no:*", "web-1"], ["no:*: ERROR (no such group)", "web:web-1: started"], Exit.NO_SUCH),
        (["stop", "web:*"], ["web:web-0: stopped", "web:web-1: ERROR (not running)"], Exit.DONE),
        (["restart", "cat"], ["cat: started"], Exit.DONE),
        (["signal", "HUP", "cat"], ["cat: signalled"], Exit.DONE),
        (["signal", "sigterm", "web-1"], ["web:web-1: ERROR (not running)"], Exit.FAILED),
        (["clear", "cat"], ["cat: cleared"], Exit.DONE),
    ],
)
def test_orders(ctl: Ringctl, words: list[str], lines: list[str], code: Exit) -> None:
    result = ctl(*words)
    assert (result.stdout.splitlines(), result.exit_code) == (lines, code)
    assert len(result.stderr.splitlines()) == (code is not Exit.DONE)


def test_an_order_says_which_sessions_and_whether_to_wait(ctl: Ringctl, fleet: StandInFleet) -> None:
    ctl("stop", "web:*", "cat", "--no-wait")
    (request,) = fleet.asked(control.Act)
    assert (request.verb, request.selectors, request.wait) == (Verb.STOP, ["web:*", "cat"], False)


@pytest.mark.parametrize(("name", "number"), [("TERM", 15), ("SIGTERM", 15), ("15", 15), ("usr1", 10), ("RTMIN+3", 37)])
def test_signals_have_names_and_numbers(ctl: Ringctl, fleet: StandInFleet, name: str, number: int) -> None:
    ctl("signal", name, "cat")
    assert [request.signum for request in fleet.asked(control.SendSignal)] == [number]


def test_orders_as_json(ctl: Ringctl) -> None:
    document = json.loads(ctl("start", "--json", "web-1", "nope").stdout)
    assert document == {
        "version": 1,
        "results": [
            {"session": "nope", "result": "no such process", "ok": False},
            {"session": "web:web-1", "result": "started", "ok": True},
        ],
    }


def test_outcomes_are_written_as_they_are_known(ctl: Ringctl, fleet: StandInFleet) -> None:
    """A session that hangs does not keep back what is known of the others."""

    def tell_one(client: Client, request: Any) -> None:
        client.tell(control.Outcome(request.id, "web:web-0", "stopped", ok=True))

    fleet.script["Act"] = tell_one
    with ctl.following("stop", "web:*") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "web:web-0: stopped\n"
        process.terminate()


def test_an_order_that_takes_too_long_fails_and_says_so(ctl: Ringctl, fleet: StandInFleet) -> None:
    fleet.script["Act"] = lambda *_: None
    result = ctl("stop", "cat", "--timeout", "100ms")
    assert result.exit_code == Exit.FAILED
    assert "no answer in time; ringctl status shows how far it is" in result.stderr


# --- the fleet file ---


def test_reread_and_update(ctl: Ringctl) -> None:
    assert ctl("reread").stdout.startswith("new: available\nold: disappeared\nweb: changed\n")
    assert "old: removed process group\nweb: updated process group\n" in ctl("update").stdout


def test_reread_json(ctl: Ringctl) -> None:
    assert json.loads(ctl("reread", "--json").stdout) == {
        "version": 1, "added": ["new"], "changed": ["web"], "removed": ["old"],
        "sessions": {"web-0": {"command": "restart", "log.keep": "live"}}, "kept": 4,
    }  # fmt: skip


@pytest.mark.parametrize(("words", "groups"), [([], []), (["all"], []), (["web"], ["web"])])
def test_update_narrows_to_groups(ctl: Ringctl, fleet: StandInFleet, words: list[str], groups: list[str]) -> None:
    ctl("update", *words)
    assert [request.groups for request in fleet.asked(control.Update)] == [groups]


@pytest.mark.parametrize("command", ["reread", "update"])
def test_an_invalid_file_is_refused_in_one_line(ctl: Ringctl, fleet: StandInFleet, command: str) -> None:
    def refuse(client: Client, request: Any) -> None:
        client.tell(control.Failed(request.id, "a.toml:3: no such key\na.toml:4: neither", "invalid_config"))

    fleet.script["Reread"] = fleet.script["Update"] = refuse
    result = ctl(command)
    assert (result.exit_code, result.stdout) == (Exit.FAILED, "ERROR: CANT_REREAD: a.toml:3: no such key\n")
    assert len(result.stderr.splitlines()) == 1


def test_add_and_remove(ctl: Ringctl) -> None:
    assert ctl("add", "new").stdout == "new: added process group\n"
    assert ctl("remove", "a", "b").stdout.splitlines() == [
        "a: stopped", "a: removed process group", "b: stopped", "b: removed process group",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "failure", "code"),
    [
        ("add", ("process group already active", "already_active"), Exit.DONE),
        ("add", ("no such process/group: x", "no_such_group"), Exit.NO_SUCH),
        ("remove", ("process/group still running: x", "still_running"), Exit.FAILED),
    ],
)
def test_groups_refused(ctl: Ringctl, fleet: StandInFleet, command: str, failure: tuple[str, str], code: Exit) -> None:
    def refuse(client: Client, request: Any) -> None:
        client.tell(control.Failed(request.id, *failure))

    fleet.script["AddGroup"] = fleet.script["RemoveGroup"] = refuse
    result = ctl(command, "x")
    assert (result.stdout, result.exit_code) == (f"ERROR: {failure[0]}\n", code)


def test_avail(ctl: Ringctl) -> None:
    assert ctl("avail").stdout.splitlines()[1] == "web:web-0                        avail     manual    7:7"
    assert json.loads(ctl("avail", "--json").stdout)["sessions"][0] == {
        "name": "cat", "in_use": True, "autostart": True, "priority": 100,
    }  # fmt: skip


def test_scale(ctl: Ringctl, fleet: StandInFleet) -> None:
    result = ctl("scale", "web=4", "db=0")
    assert "web: 4 instances\n" in result.stdout
    assert [(one.table, one.instances) for one in fleet.asked(control.Scale)] == [("web", 4), ("db", 0)]


def test_scale_is_checked_before_anything_is_scaled(ctl: Ringctl, fleet: StandInFleet) -> None:
    assert ctl("scale", "web=4", "db").exit_code == Exit.USAGE
    assert fleet.asked(control.Scale) == []


# --- asking ---


def test_pid(ctl: Ringctl) -> None:
    assert ctl("pid").stdout == f"{os.getpid()}\n"
    assert ctl("pid", "cat").stdout == "4242\n"
    assert ctl("pid", "all").stdout == "4242\n0\n4242\n0\n"
    assert ctl("pid", "all").exit_code == Exit.DONE


def test_pid_of_what_has_none(ctl: Ringctl) -> None:
    result = ctl("pid", "web-1")
    assert (result.stdout, result.exit_code) == ("0\n", Exit.FAILED)
    assert "ringctl start web:web-1" in result.stderr
    assert ctl("pid", "nope").stdout == "No such process nope\n"
    assert ctl("pid", "nope").exit_code == Exit.NO_SUCH


def test_version(ctl: Ringctl) -> None:
    assert ctl("version").stdout == "1.2.3\n"
    assert json.loads(ctl("version", "--json").stdout)["release"] == "1.2.3"


def test_inspect_and_explain(ctl: Ringctl) -> None:
    assert "ring:\n  size  65536\n" in ctl("inspect", "web:web-0").stdout
    assert "2026-01-01T00:00:00.500Z  exited with 3: restarted by its policy\n" in ctl("explain", "web-0").stdout
    assert json.loads(ctl("explain", "--json", "web-0").stdout)["told"][0]["time"] == 1_767_225_600.5
    assert ctl("inspect", "nope").exit_code == Exit.NO_SUCH


def test_events(ctl: Ringctl, fleet: StandInFleet) -> None:
    assert len(ctl("events").stdout.splitlines()) == 2
    assert len(ctl("events", "web-0").stdout.splitlines()) == 1
    line = json.loads(ctl("events", "--json", "-n", "1").stdout)
    assert line == {
        "time": "2026-01-01T00:00:00.000Z", "session": "web-0", "event": "exited", "state": "EXITED",
        "detail": {"code": 3},
    }  # fmt: skip
    assert [request.follow for request in fleet.asked(control.FollowEvents)] == [False] * 3


def test_events_are_followed_until_ctrl_c(ctl: Ringctl, fleet: StandInFleet) -> None:
    with ctl.following("events", "-f", "-n", "2") as process:
        assert process.stdout is not None
        assert "web-1" in process.stdout.readline() + process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == Exit.DONE
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_top_once(ctl: Ringctl) -> None:
    """Without a terminal it prints the table once."""
    result = ctl("top", "--interval", "10ms", "web:*")
    assert result.stdout.splitlines()[0].startswith("agents running, 2 sessions: 1 RUNNING, 1 STOPPED;")
    assert len(result.stdout.splitlines()) == 4
    document = json.loads(ctl("top", "--json", "--interval", "10ms", "cat").stdout)
    assert document["sessions"][0].keys() >= {"session", "cpu_percent", "memory_bytes", "lag_bytes", "restarts"}


def test_top_sees_the_memory_of_a_real_process(ctl: Ringctl, fleet: StandInFleet) -> None:
    fleet.add(session("me", pid=os.getpid()))
    (row,) = json.loads(ctl("top", "--json", "--interval", "10ms", "me").stdout)["sessions"]
    assert row["memory_bytes"] > 10 * 2**20


# --- ending ---


def test_reload(ctl: Ringctl) -> None:
    assert ctl("reload").stdout == "Restarted supervisord\n"


def test_a_supervisor_that_hangs_up_has_reloaded(ctl: Ringctl, fleet: StandInFleet) -> None:
    fleet.script["Reload"] = lambda client, _: client.drop()
    assert ctl("reload").stdout == "Restarted supervisord\n"


def test_shutdown_waits_for_the_main_process(tmp_path: Any, clean_env: None) -> None:
    keeper = subprocess.Popen(["sleep", "60"])
    fleet = StandInFleet(str(tmp_path / "run"), keeper_pid=keeper.pid)

    def shut_down(client: Client, request: Any) -> None:
        client.tell(control.Done(request.id))
        keeper.terminate()

    fleet.script["Shutdown"] = shut_down
    try:
        result = Ringctl(fleet.socket)("shutdown")
        assert (result.stdout, result.exit_code) == ("Shut down\n", Exit.DONE)
        assert keeper.wait(0) == -signal.SIGTERM
    finally:
        keeper.kill()
        keeper.wait()
        fleet.close()


def test_shutdown_that_does_not_come_to_an_end_fails(ctl: Ringctl) -> None:
    """The stand-in's main process is this test, which goes on."""
    result = ctl("shutdown", "--timeout", "50ms")
    assert (result.stdout, result.exit_code) == ("", Exit.FAILED)
    assert ctl("shutdown", "--no-wait").stdout == "Shut down\n"


def test_a_second_shutdown_is_refused(ctl: Ringctl, fleet: StandInFleet) -> None:
    def refuse(client: Client, request: Any) -> None:
        client.tell(control.Failed(request.id, "already shutting down", "already_shutting_down"))

    fleet.script["Shutdown"] = refuse
    result = ctl("shutdown")
    assert (result.exit_code, result.stderr) == (Exit.FAILED, "ringctl: already shutting down\n")


# --- help ---


def test_every_command_can_be_loaded_and_has_help(ctl: Ringctl) -> None:
    for name in sorted(set(COMMANDS) - {"attach", "send", "expect"}):
        result = ctl("help", name)
        assert result.exit_code == 0, name
        assert result.stdout.startswith(f"Usage: ringctl {name} "), name
        assert ctl(name, "--help").stdout == result.stdout, name


def test_help_lists_commands_and_not_what_is_not_there(ctl: Ringctl) -> None:
    text = ctl("help").stdout
    assert all(f"  {name} " in text for name in COMMANDS)
    assert not any(f"  {name} " in text for name in NOT_THERE_YET)
    assert ctl("help", "nope").stdout == "*** No help on nope\n"


@pytest.mark.parametrize("name", sorted(NOT_THERE_YET))
def test_what_is_not_there_yet_says_so(ctl: Ringctl, name: str) -> None:
    result = ctl(name, "x")
    assert result.exit_code == Exit.FAILED
    assert result.stderr == f"ringctl: {name} is not there yet; ringctl help lists what is\n"


def test_a_command_in_one_word(ctl: Ringctl) -> None:
    assert ctl("status cat").exit_code == Exit.DONE


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_ringctl(ctl: Ringctl, shell: str) -> None:
    script = ctl("completion", shell).stdout
    assert "_RINGCTL_COMPLETE" in script
    assert script.startswith("#")


def complete(ctl: Ringctl, line: str) -> list[str]:
    words = line.split(" ")
    env = {"_RINGCTL_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    result = ctl.process(**env)
    return [word.partition(",")[2] for word in result.stdout.split()]


def test_the_shell_completes_commands_and_sessions(ctl: Ringctl, fleet: StandInFleet) -> None:
    assert complete(ctl, "ringctl sta") == ["status", "start"]
    assert complete(ctl, f"ringctl -s {fleet.socket} start w") == ["web-0", "web-1", "web:*"]
    assert complete(ctl, f"ringctl -s {fleet.socket} tail web:") == ["web:*", "web:web-0", "web:web-1"]
    assert complete(ctl, "ringctl -s /nowhere start w") == []


# --- how things go wrong ---

USAGE = [
    [], ["start"], ["stop", "--timeout", "soon"], ["signal", "NOPE", "cat"], ["signal", "TERM"], ["tail"], ["clear"],
    ["nope"], ["statsu"], ["status", "--nope"], ["completion", "tcsh"], ["logs", "cat", "--since", "soon"],
    ["logs", "cat", "--grep", "("], ["pid", "--x"], ["fg"], ["fg", "a", "b"], ["top", "--sort", "x"], ["scale", "x"],
]  # fmt: skip


@pytest.mark.parametrize("words", USAGE[1:], ids=" ".join)
def test_wrong_usage_is_one_line_and_code_2(ctl: Ringctl, words: list[str]) -> None:
    result = ctl(*words)
    assert result.exit_code == Exit.USAGE, result.output
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("ringctl: ")
    assert result.stdout == ""


def test_a_slip_of_the_finger_gets_a_suggestion(ctl: Ringctl) -> None:
    assert 'did you mean "status"?' in ctl("statsu").stderr


ASKING = [
    ["status"], ["start", "x"], ["pid"], ["version"], ["reread"], ["update"], ["avail"], ["add", "x"], ["events"],
    ["inspect", "x"], ["scale", "x=1"], ["shutdown"], ["reload"], ["top"], ["clear", "x"], ["signal", "HUP", "x"],
]  # fmt: skip


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_nobody_answers_is_one_line_and_code_7(tmp_path: Any, clean_env: None, words: list[str]) -> None:
    path = str(tmp_path / "nobody.sock")
    result = Ringctl(path)(*words)
    assert result.exit_code == Exit.NO_ANSWER, result.output
    assert path in result.stderr
    assert (len(result.stderr.splitlines()), result.stdout) == (1, "")


def nothing_but_a_line(result: Result, code: Exit) -> None:
    assert result.exit_code == code, result.output
    assert (len(result.stderr.splitlines()), result.stdout) == (1, "")
    assert "mistake" not in result.stderr


def test_a_server_that_hangs_up_is_asked_once_more(ctl: Ringctl, fleet: StandInFleet) -> None:
    """A question survives a supervisor that is started again; an order does not: nobody knows how far it came."""
    fleet.script["GetStatus"] = lambda client, _: (fleet.script.pop("GetStatus"), client.drop())[0]
    assert ctl("status", "cat").exit_code == Exit.DONE
    fleet.script["Act"] = lambda client, _: client.drop()
    nothing_but_a_line(ctl("start", "cat"), Exit.NO_ANSWER)
    assert len(fleet.asked(control.Act)) == 1
    fleet.script["GetStatus"] = lambda client, _: client.drop()
    nothing_but_a_line(ctl("status", "cat"), Exit.NO_ANSWER)


def test_an_answer_of_another_kind_is_no_traceback(ctl: Ringctl, fleet: StandInFleet) -> None:
    fleet.script["GetStatus"] = lambda client, request: client.tell(happened(request.id, "x"))
    nothing_but_a_line(ctl("status"), Exit.NO_ANSWER)


def test_a_mistake_of_ours_is_one_line(ctl: Ringctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.cli.status.status_lines", lambda *_: 1 / 0)
    result = ctl("status")
    assert result.exit_code == Exit.FAILED
    assert result.stderr.startswith("ringctl: ZeroDivisionError: division by zero: this is a mistake in ringctl;")
    assert len(result.stderr.splitlines()) == 1


# --- as a process ---


def test_a_process_ends_with_the_code(ctl: Ringctl) -> None:
    result = ctl.process("status")
    assert (result.returncode, result.stderr) == (Exit.NOT_UP, "")
    assert len(result.stdout.splitlines()) == 4


def test_a_reader_that_goes_away_is_no_error(ctl: Ringctl, fleet: StandInFleet) -> None:
    fleet.add(*(session(f"s{number}") for number in range(5000)))
    result = run(["bash", "-c", f"{' '.join(ctl.command('status'))} | head -1; echo ${{PIPESTATUS[0]}}"])
    assert result.stdout.splitlines()[-1] == "0"
    assert result.stderr == ""


def test_a_full_disk_is_one_line(ctl: Ringctl) -> None:
    with open("/dev/full", "w") as full:
        result = run(ctl.command("status", "cat"), stdout=full)
    assert result.returncode == Exit.FAILED
    assert result.stderr == "ringctl: standard output: no space is left where this should go\n"


def test_ctrl_c_while_waiting_is_one_line(ctl: Ringctl, fleet: StandInFleet) -> None:
    def tell_one(client: Client, request: Any) -> None:
        client.tell(control.Outcome(request.id, "cat", "stopped", ok=True))

    fleet.script["Act"] = tell_one
    with ctl.following("stop", "all") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == Exit.FAILED
        assert process.stderr.read() == (
            "ringctl: interrupted; what was asked for goes on: ringctl status shows how far it is\n"
        )


# --- whatever is typed, and wherever it goes ---


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_mistake(ctl: Ringctl, closed: str) -> None:
    """Nor does what is written to them go to the daemon, whose socket would have their number."""
    result = run(["sh", "-c", f'"$@" {closed}', "sh", *ctl.command("status", "cat")])
    assert (result.returncode, result.stderr) == (Exit.DONE, "")


def test_what_is_quoted_cannot_move_the_terminal_or_make_lines(ctl: Ringctl) -> None:
    result = ctl("stop", "a\nb\x1b[2J")
    assert result.stdout == "a?b?[2J: ERROR (no such process)\n"
    assert result.stderr == "ringctl: no such session: a?b?[2J; ringctl status lists them\n"


def test_names_that_are_no_utf8_are_wrong_usage(ctl: Ringctl) -> None:
    result = ctl.process("status", os.fsdecode(b"\xff\xfe"))
    assert (result.returncode, result.stderr) == (Exit.USAGE, "ringctl: names and texts must be UTF-8\n")


def test_tail_json_is_the_end_as_text(ctl: Ringctl, tmp_path: Path) -> None:
    (tmp_path / "log/ringvisord.log").write_bytes(b"first\nlast\xff\n")
    document = json.loads(ctl("maintail", "-6", "--json").stdout)
    assert document == {"version": 1, "name": "supervisord", "stream": "stdout", "bytes": 6, "text": "last\ufffd\n"}
    assert ctl("maintail", "-f", "--json").exit_code == Exit.USAGE
