"""logs, tail, verify: real logs with real indexes, with a fleet that answers and with none."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ipc.log_archive import compress
from ipc.log_retention import LogPolicy
from ipc.log_sink import LogSink, Moment
from ipc.sink_spec import LogSpec, SinkSpec, write_sink
from supervisor.cli.exits import Exit
from supervisor.cli.main import ringctl
from tests.supervisor.cli.conftest import Ringctl
from tests.supervisor.cli.stand_in_fleet import StandInFleet, session

NOON_NS = 1_767_268_800 * 10**9  # 2026-01-01T12:00:00Z


def moment(second: float) -> Moment:
    return Moment(NOON_NS + int(second * 1e9), int(second * 1e9))


class Log:
    """A session's log, written as the router writes it."""

    def __init__(self, directory: Path, name: str, policy: LogPolicy) -> None:
        self.path = directory / name
        self._sink = LogSink.open(directory, name, policy, moment(0))
        self._epoch, self._offset = 1, 0

    def put(self, data: bytes, second: float, *, epoch: int = 1, skip: int = 0) -> None:
        """`skip`: so many bytes before these never reached the log."""
        if epoch != self._epoch:
            self._epoch, self._offset = epoch, 0
        self._offset += skip
        assert self._sink.append(epoch, self._offset, [memoryview(data)], moment(second)) == len(data)
        self._offset += len(data)
        self._sink.tick(moment(second + 1))

    def rotate(self, second: float) -> None:
        assert self._sink.rotate(moment(second))

    def clear(self, second: float) -> None:
        assert self._sink.clear(moment(second))

    def close(self) -> None:
        self._sink.close(moment(10**6))


@pytest.fixture
def log_of(tmp_path: Path) -> Iterator[Callable[..., Log]]:
    """Of a session's NAME.log in the fleet's log directory."""
    made: list[Log] = []

    def make(name: str, **policy: int) -> Log:
        made.append(Log(tmp_path / "log", f"{name}.log", LogPolicy(**policy)))
        return made[-1]

    yield make
    for log in made:
        log.close()


@pytest.fixture
def web(fleet: StandInFleet, tmp_path: Path, log_of: Callable[..., Log]) -> Log:
    fleet.add(session("web", log=str(tmp_path / "log" / "web.log")))
    return log_of("web")


@pytest.fixture
def db(fleet: StandInFleet, tmp_path: Path, log_of: Callable[..., Log]) -> Log:
    fleet.add(session("db", log=str(tmp_path / "log" / "db.log")))
    return log_of("db")


def lines(result: Result) -> list[str]:
    assert result.exit_code == Exit.DONE, result.output
    return result.stdout.splitlines()


# --- logs ---


def test_one_log_elsewhere_than_on_a_terminal_is_its_bytes(ctl: Ringctl, web: Log) -> None:
    data = b"a\r\n\x1b[2J\xff\x00no end"
    web.put(data, 1)
    assert ctl("logs", "web").stdout_bytes == data


def test_all_parts_and_epochs_come_in_order(ctl: Ringctl, web: Log) -> None:
    web.put(b"one\n", 1)
    web.rotate(2)
    web.put(b"two\nhalf", 3)
    web.rotate(4)
    web.put(b"three\n", 5, epoch=2)
    assert ctl("logs", "web").stdout_bytes == b"one\ntwo\nhalfthree\n"
    assert lines(ctl("logs", "web", "-t"))[2:] == [
        line for line in lines(ctl("logs", "web", "-t")) if line.endswith(("half", "three"))
    ]


def test_a_compressed_part_is_read_like_any_other(ctl: Ringctl, web: Log) -> None:
    web.put(b"old\n" * 1000, 1)
    web.rotate(2)
    web.put(b"new\n", 3)
    assert compress(web.path.parent, "web.log.000001")
    assert (web.path.parent / "web.log.000001.zst").exists()
    assert len(lines(ctl("logs", "web"))) == 1001
    assert lines(ctl("logs", "web", "-n", "3")) == ["old", "old", "new"]
    assert ctl("tail", "-8", "web").stdout == "old\nnew\n\n"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), ["early", "middle", "late"]),
        (("--since", "2026-01-01T12:00:30+00:00"), ["middle", "late"]),
        (("--until", "2026-01-01T12:00:40+00:00"), ["early", "middle"]),
        (("--since", "2026-01-01T12:00:30+00:00", "--until", "2026-01-01T12:00:50+00:00"), ["middle"]),
        (("--since", "2026-01-01T12:10:00+00:00"), []),
        (("-n", "1"), ["late"]),
        (("-n", "0"), []),
        (("-n", "99"), ["early", "middle", "late"]),
        (("--grep", "^(e|l)"), ["early", "late"]),
        (("--grep", "E", "-i"), ["early", "middle", "late"]),
        (("--grep", "a", "-n", "1"), ["late"]),
        (("--grep", "nothing"), []),
    ],
)
def test_what_is_asked_for(ctl: Ringctl, web: Log, options: tuple[str, ...], found: list[str]) -> None:
    """Times are those of the index: what may lie in the span is in it."""
    web.put(b"early\n", 10)
    web.put(b"middle\n", 40)
    web.put(b"late\n", 70)
    assert lines(ctl("logs", "web", *options)) == found


def test_several_logs_are_interleaved_by_time_with_names(ctl: Ringctl, web: Log, db: Log) -> None:
    web.put(b"w1\n", 10)
    db.put(b"d1\n", 20)
    db.put(b"d2\nd3", 30)
    web.put(b"w2\n", 40)
    assert lines(ctl("logs", "web", "db")) == ["web | w1", "db  | d1", "db  | d2", "db  | d3", "web | w2"]
    assert lines(ctl("logs", "web", "db", "-n", "1")) == ["db  | d3", "web | w2"]


def test_lines_as_json_have_their_place_in_the_stream(ctl: Ringctl, web: Log) -> None:
    web.put(b"one\n", 1)
    web.put(b"two\r\n", 2, skip=10)
    web.put(b"three\n", 3, epoch=2)
    found = [json.loads(line) for line in lines(ctl("logs", "--json", "web"))]
    assert [(line["epoch"], line["offset"], line["line"]) for line in found] == [
        (1, 0, "one"),
        (1, 14, "two"),
        (2, 0, "three"),
    ]
    assert found[0].keys() == {"session", "stream", "epoch", "offset", "time", "line"}
    assert found[0]["time"].startswith("2026-01-01T12:00:0")


def test_pipe_sessions_have_two_streams(ctl: Ringctl, fleet: StandInFleet, log_of: Callable[..., Log]) -> None:
    out, err = log_of("job"), log_of("job.err")
    fleet.add(session("job", io="pipe", log=str(out.path)))
    out.put(b"said\n", 1)
    err.put(b"complained\n", 5)
    assert lines(ctl("logs", "job")) == ["said", "complained"]
    assert lines(ctl("logs", "job", "--stream", "stderr")) == ["complained"]
    assert ctl("tail", "job", "stderr").stdout == "complained\n\n"


def test_logs_of_what_has_none(ctl: Ringctl, web: Log) -> None:
    web.put(b"x\n", 1)
    result = ctl("logs", "nope", "web")
    assert (result.exit_code, result.stdout) == (Exit.NO_SUCH, "x\n")
    assert "no such session: nope" in result.stderr
    result = ctl("logs", "cat")
    assert result.exit_code == Exit.FAILED
    assert "cat keeps no log" in result.stderr


def test_a_log_that_was_never_written_is_empty(ctl: Ringctl, fleet: StandInFleet, tmp_path: Path) -> None:
    fleet.add(session("new", log=str(tmp_path / "log" / "new.log")), session("far", log="/nowhere/far.log"))
    assert lines(ctl("logs", "new", "far")) == []


def test_a_damaged_archive_is_one_line(ctl: Ringctl, web: Log) -> None:
    web.put(os.urandom(5000), 1)
    web.rotate(2)
    part = web.path.parent / "web.log.000001"
    part.unlink()
    part.with_name("web.log.000001.zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"\xff" * 100)
    result = ctl("logs", "web")
    assert result.exit_code == Exit.FAILED
    assert "web.log.000001.zst is damaged" in result.stderr
    assert "mistake" not in result.stderr


# --- with nobody to ask ---


def offline(*words: str) -> Result:
    return CliRunner().invoke(ringctl, list(words))


def write_config(tmp_path: Path, text: str) -> None:
    head = f'[fleet]\nname = "agents"\nruntime_dir = "run"\nlog_dir = "{tmp_path}/log"\n'
    (tmp_path / "ringvisor.toml").write_text(head + text)


@pytest.fixture
def nobody(tmp_path: Path, clean_env: None) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path


def test_logs_by_the_fleet_file(nobody: Path, log_of: Callable[..., Log]) -> None:
    write_config(
        nobody, '[session.web]\ncommand = "true"\ninstances = 2\ntags = ["front"]\n[session.db]\ncommand = "true"\n'
    )
    for name in ("web-0", "web-1", "db"):
        log_of(name).put(name.encode() + b"\n", 1)
    assert lines(offline("logs", "web:*")) == ["web-0 | web-0", "web-1 | web-1"]
    assert len(lines(offline("logs", "all"))) == 3
    assert lines(offline("logs", "tag=front", "-n", "1"))[0].startswith("web-0 | ")
    assert offline("logs", "nope").exit_code == Exit.NO_SUCH
    assert offline("logs", "state=RUNNING").exit_code == Exit.NO_ANSWER


def test_logs_by_the_sink_files(nobody: Path, shm_dir: str, log_of: Callable[..., Log]) -> None:
    """No fleet file and no daemon: what the router works from is still there."""
    run, elsewhere = nobody / "xdg" / "ringvisor" / "agents", nobody / "log"
    run.mkdir(parents=True)
    (run / "fleet.json").write_text(json.dumps({"name": "agents", "ring_dir": shm_dir}))
    write_sink(shm_dir, SinkSpec("ad-hoc", 0, LogSpec(str(elsewhere), "strange.log", "")))
    (Path(shm_dir) / "broken.sink").write_bytes(b"\xc1")
    log_of("strange").put(b"found\n", 1)
    assert lines(offline("logs", "ad-hoc")) == ["found"]
    assert lines(offline("verify", "ad-hoc"))[0].startswith("ad-hoc: balanced, 6 bytes in 1 epoch, 0 gaps, 1 part")


def test_a_log_outlives_its_session(ctl: Ringctl, log_of: Callable[..., Log]) -> None:
    """Of a session that no fleet file and no daemon knows any more, the log is found by its name."""
    log_of("gone").put(b"farewell\n", 1)
    assert lines(ctl("logs", "gone")) == ["farewell"]
    assert ctl("tail", "gone").stdout == "farewell\n\n"
    assert ctl("logs", "../log/gone").exit_code == Exit.NO_SUCH


# --- tail ---


def test_tail_gives_the_last_bytes_and_a_newline(ctl: Ringctl, web: Log) -> None:
    web.put(b"x" * 2000 + b"end", 1)
    assert ctl("tail", "web").stdout == "x" * 1597 + "end\n"
    assert ctl("tail", "-5", "web").stdout == "xxend\n"
    assert ctl("tail -4 web").stdout == "xend\n"
    assert ctl("tail", "-0", "web").stdout == "\n"


def test_tail_reaches_back_over_a_rotation(ctl: Ringctl, web: Log) -> None:
    web.put(b"old old ", 1)
    web.rotate(2)
    web.put(b"new", 3)
    assert ctl("tail", "-7", "web").stdout == "old new\n"


@pytest.mark.parametrize(
    ("words", "stdout", "code"),
    [
        (("nope",), "nope: ERROR (no such process name)\n", Exit.NO_SUCH),
        (("web:*",), "web:*: ERROR (no such process name)\n", Exit.NO_SUCH),
        (("cat",), "cat: ERROR (no log file)\n", Exit.FAILED),
        (("db",), "db: ERROR (no log file)\n", Exit.FAILED),
    ],
)
def test_tail_of_what_has_no_log(
    ctl: Ringctl, fleet: StandInFleet, tmp_path: Path, words: tuple[str, ...], stdout: str, code: Exit
) -> None:
    fleet.add(session("db", log=str(tmp_path / "log" / "never.log")))
    result = ctl("tail", *words)
    assert (result.stdout, result.exit_code) == (stdout, code)
    assert len(result.stderr.splitlines()) == 1


def test_maintail(ctl: Ringctl, tmp_path: Path) -> None:
    assert ctl("maintail").stdout == "supervisord: ERROR (no log file)\n"
    (tmp_path / "log" / "ringvisord.log").write_text("started\n")
    assert ctl("maintail").stdout == "started\n\n"
    assert ctl("maintail", "-3").stdout == "ed\n\n"


# --- following ---


def test_tail_f_follows_over_rotation_and_clearing(ctl: Ringctl, web: Log) -> None:
    """Each byte once, whatever is done to the file meanwhile."""
    web.put(b"x" * 2000 + b"before\n", 1)
    with ctl.following("tail", "-f", "web") as process:
        out = process.stdout
        assert out is not None
        assert out.readline() == "==> Press Ctrl-C to exit <==\n"
        assert out.readline() == "x" * 1017 + "before\n"
        web.put(b"after\n", 2)
        assert out.readline() == "after\n"
        web.rotate(3)
        web.put(b"rotated\n", 4)
        assert out.readline() == "rotated\n"
        web.clear(5)
        web.put(b"cleared\n", 6)
        assert out.readline() == "cleared\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == Exit.DONE
        assert out.read() == "\n"


def test_what_was_rotated_twice_unseen_is_not_left_out(ctl: Ringctl, web: Log) -> None:
    web.put(b"first\n", 1)
    with ctl.following("tail", "-f", "web") as process:
        out = process.stdout
        assert out is not None
        assert [out.readline(), out.readline()] == ["==> Press Ctrl-C to exit <==\n", "first\n"]
        process.send_signal(signal.SIGSTOP)
        for number in range(4):
            web.put(b"part %d\n" % number, 2 + number)
            web.rotate(2 + number)
        process.send_signal(signal.SIGCONT)
        assert [out.readline() for _ in range(4)] == [f"part {number}\n" for number in range(4)]
        process.send_signal(signal.SIGINT)


def test_logs_f_begins_with_the_last_lines_and_interleaves(ctl: Ringctl, web: Log, db: Log) -> None:
    web.put(b"".join(b"line %d\n" % number for number in range(50)), 1)
    db.put(b"", 2)
    with ctl.following("logs", "-f", "web", "db") as process:
        out = process.stdout
        assert out is not None
        assert [out.readline() for _ in range(10)] == [f"web | line {number}\n" for number in range(40, 50)]
        db.put(b"half ", 3)
        web.put(b"whole\n", 4)
        assert out.readline() == "web | whole\n"
        db.put(b"a line\n", 5)
        assert out.readline() == "db  | half a line\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == Exit.DONE


def test_a_log_that_does_not_exist_yet_can_be_followed(
    ctl: Ringctl, fleet: StandInFleet, tmp_path: Path, log_of: Callable[..., Log]
) -> None:
    """The first line of another log shows that the process is under way."""
    log_of("old").put(b"there\n", 1)
    fleet.add(session("old", log=f"{tmp_path}/log/old.log"), session("new", log=f"{tmp_path}/log/new.log"))
    with ctl.following("logs", "-f", "old", "new", "--grep", "t") as process:
        out = process.stdout
        assert out is not None
        assert out.readline() == "old | there\n"
        log_of("new").put(b"born\nat last\n", 2)
        assert out.readline() == "new | at last\n"
        process.send_signal(signal.SIGINT)


# --- verify ---


def test_verify_lists_epochs_bytes_and_gaps(ctl: Ringctl, web: Log) -> None:
    web.put(b"x" * 100, 1)
    web.put(b"y" * 50, 2, skip=25)
    web.put(b"z" * 10, 3, epoch=2)
    result = ctl("verify", "web", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["ok"], document["session"]) == (Exit.DONE, True, "web")
    assert document["bytes"] == 160
    assert document["epochs"] == [
        {"epoch": 1, "from": 0, "to": 175, "bytes": 150},
        {"epoch": 2, "from": 0, "to": 10, "bytes": 10},
    ]
    assert document["gaps"] == [{"epoch": 1, "from": 100, "to": 125, "why": "gap"}]
    assert "  gap in epoch 1: 100 to 125, 25 bytes, gap" in lines(ctl("verify", "web"))


def test_verify_finds_a_flipped_byte(ctl: Ringctl, web: Log, db: Log) -> None:
    web.put(b"x" * 1000, 1)
    db.put(b"fine", 1)
    with web.path.open("r+b") as file:
        file.seek(500)
        file.write(b"y")
    result = ctl("verify", "db", "web")
    assert result.exit_code == Exit.FAILED
    assert "web: NOT BALANCED" in result.stdout
    assert "db: balanced" in result.stdout
    assert result.stderr.startswith("ringctl: the books of web do not balance")
    documents = [json.loads(line) for line in ctl("verify", "--json", "db", "web").stdout.splitlines()]
    assert [one["ok"] for one in documents] == [True, False]
    assert documents[1]["problems"][0]["part"] == "web.log"


def test_verify_checks_both_streams(ctl: Ringctl, fleet: StandInFleet, log_of: Callable[..., Log]) -> None:
    out, err = log_of("job"), log_of("job.err")
    fleet.add(session("job", io="pipe", log=str(out.path)))
    out.put(b"said", 1)
    err.put(b"complained", 1)
    document = json.loads(ctl("verify", "job", "--json").stdout)
    assert (document["bytes"], document["stderr"]["bytes"]) == (4, 10)
    with err.path.open("r+b") as file:
        file.write(b"C")
    result = ctl("verify", "job", "--json")
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (Exit.FAILED, False)


def test_verify_of_what_has_no_log(ctl: Ringctl) -> None:
    assert ctl("verify", "cat").exit_code == Exit.FAILED
    assert ctl("verify", "nope").exit_code == Exit.NO_SUCH
