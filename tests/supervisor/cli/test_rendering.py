"""Values in, lines out."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from supervisor.cli.avail import avail_lines
from supervisor.cli.events import concerns, event_line
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.fact_lines import event_text, fact_lines
from supervisor.cli.fleet_record import FleetRecord, parse_fleet_record
from supervisor.cli.ink import PLAIN, Ink, ink_for
from supervisor.cli.line_layout import LineLayout
from supervisor.cli.log_lines import Line
from supervisor.cli.moments import iso, nanoseconds, parse_moment
from supervisor.cli.outcomes import advice, outcome_line, outcomes_exit
from supervisor.cli.plan_lines import reread_lines, update_lines
from supervisor.cli.process_usage import ProcessRow, Usage, usage_of
from supervisor.cli.scale import parse_scale
from supervisor.cli.session_names import chosen, completions, shown_name
from supervisor.cli.status_lines import status_exit, status_lines
from supervisor.cli.tail_words import TailWords, parse_maintail, parse_tail
from supervisor.cli.terminal_text import harmless
from supervisor.cli.top_table import Order, Sample, amount, ordered, rows_between, top_lines
from supervisor.control.messages import AvailRow, FleetStatus, Missed, Outcome, PlanReport
from tests.supervisor.cli.stand_in_fleet import happened, plan, session

COLOURED = Ink(on=True)


# --- status ---


def test_status_has_supervisorctls_columns() -> None:
    """The name column is 33 wide, and wider only for longer names; the state's is 10; the rest is the description."""
    lines = status_lines([session("cat"), session("web-0", "STARTING", group="web")], ["nope", "no:*"])
    assert lines == [
        "nope: ERROR (no such process)",
        "no:*: ERROR (no such group)",
        "cat                              RUNNING   pid 4242, uptime 0:00:06",
        "web:web-0                        STARTING  ",
    ]


def test_a_long_name_widens_the_column_for_all() -> None:
    long = "x" * 40
    lines = status_lines([session(long), session("cat")])
    assert lines[0].index("RUNNING") == lines[1].index("RUNNING") == 43


def test_colours_do_not_move_columns() -> None:
    (plain,), (coloured,) = status_lines([session("cat")]), status_lines([session("cat")], ink=COLOURED)
    assert coloured.replace("\x1b[32m", "").replace("\x1b[0m", "") == plain != coloured


@pytest.mark.parametrize(
    ("states", "unknown", "code"),
    [
        (["RUNNING", "STARTING", "BACKOFF", "STOPPING"], [], Exit.DONE),
        (["RUNNING", "STOPPED"], [], Exit.NOT_UP),
        (["EXITED"], [], Exit.NOT_UP),
        (["FATAL"], [], Exit.NOT_UP),
        (["UNKNOWN"], [], Exit.NOT_UP),
        (["RUNNING"], ["nope"], Exit.NO_SUCH),
        (["STOPPED"], ["nope"], Exit.NOT_UP),
        ([], [], Exit.DONE),
    ],
)
def test_status_exit(states: list[str], unknown: list[str], code: Exit) -> None:
    assert status_exit([session("x", state) for state in states], unknown) is code


# --- orders ---


@pytest.mark.parametrize(
    ("result", "ok", "line"),
    [
        ("started", True, "web:web-0: started"),
        ("spawn error", False, "web:web-0: ERROR (spawn error)"),
        ("already started", True, "web:web-0: ERROR (already started)"),
        ("not running", False, "web:web-0: ERROR (not running)"),
    ],
)
def test_outcome_lines_are_supervisorctls(result: str, ok: bool, line: str) -> None:  # noqa: FBT001 - a table's column
    assert outcome_line(Outcome(1, "web:web-0", result, ok)) == line


def outcome(result: str, *, ok: bool = False) -> Outcome:
    return Outcome(1, "x", result, ok)


@pytest.mark.parametrize(
    ("outcomes", "code", "said"),
    [
        ([outcome("started", ok=True)], Exit.DONE, ""),
        ([outcome("already started")], Exit.DONE, ""),
        ([outcome("spawn error")], Exit.FAILED, "1 of 1 failed: ringctl explain x says why"),
        ([outcome("no such process")], Exit.NO_SUCH, "no such session: x; ringctl status lists them"),
        (
            [outcome("no such group"), outcome("failed")],
            Exit.FAILED,
            "1 of 2 failed: ringctl explain x says why; no such session: x; ringctl status lists them",
        ),
    ],
)
def test_what_orders_come_to(outcomes: list[Outcome], code: Exit, said: str) -> None:
    harmless_words = frozenset({"already started"})
    assert outcomes_exit(outcomes, harmless_words) is code
    assert advice(outcomes, harmless_words) == said


def test_reread_and_update_say_what_changes_and_when() -> None:
    changes = "  web-0: command (restarts it), log.keep (applied live)"
    assert reread_lines(plan(1)) == ["new: available", "old: disappeared", "web: changed", changes]
    assert update_lines(plan(1)) == [
        "old: stopped",
        "old: removed process group",
        "web: updated process group",
        changes,
        "new: added process group",
    ]


def test_nothing_to_update_is_silent_and_nothing_to_reread_is_not() -> None:
    nothing = PlanReport(1, [], [], [], {}, 5)
    assert update_lines(nothing) == []
    assert reread_lines(nothing) == ["No config updates to processes"]


def test_avail_has_supervisorctls_columns() -> None:
    assert avail_lines([AvailRow("cat", in_use=True, autostart=False, priority=5)]) == [
        "cat                              in use    manual    5:5"
    ]


@pytest.mark.parametrize("word", ["web", "web=", "web=-1", "web=10001", "=3", "web=x", "we b=3"])
def test_scale_refuses_what_is_no_number_of_instances(word: str) -> None:
    with pytest.raises(Exception, match="NAME=N"):
        parse_scale(word)


def test_scale_reads_a_number() -> None:
    assert parse_scale("web=10000") == ("web", 10_000)


# --- names ---

WEB = [session("web-0", group="web", tags=["a"]), session("web-1", group="web"), session("db", tags=["a", "b"])]


@pytest.mark.parametrize(
    ("selectors", "names", "unknown"),
    [
        ([], ["web-0", "web-1", "db"], []),
        (["all"], ["web-0", "web-1", "db"], []),
        (["db", "web-1"], ["db", "web-1"], []),
        (["web:*"], ["web-0", "web-1"], []),
        (["web:"], ["web-0", "web-1"], []),
        (["web:web-1"], ["web-1"], []),
        (["db:web-1"], [], ["db:web-1"]),
        (["web-*"], ["web-0", "web-1"], []),
        (["web-0", "web-*"], ["web-0", "web-1"], []),
        (["nope", "db"], ["db"], ["nope"]),
        (["tag=a"], ["web-0", "db"], []),
        (["web:*", "tag=a"], ["web-0"], []),
        (["tag=b,x"], ["db"], []),
        (["group=web"], ["web-0", "web-1"], []),
    ],
)
def test_selectors_without_a_daemon(selectors: list[str], names: list[str], unknown: list[str]) -> None:
    found, left = chosen(WEB, selectors)
    assert ([one.name for one in found], left) == (names, unknown)


def test_a_session_is_shown_with_its_group_where_that_has_another_name() -> None:
    assert [shown_name(one) for one in WEB] == ["web:web-0", "web:web-1", "db"]


@pytest.mark.parametrize(
    ("begun", "words"),
    [
        ("", ["db", "web-0", "web-1", "web:*"]),
        ("web", ["web-0", "web-1", "web:*"]),
        ("web:", ["web:*", "web:web-0", "web:web-1"]),
        ("x", []),
    ],
)
def test_completion_of_names(begun: str, words: list[str]) -> None:
    assert completions(WEB, begun) == words


# --- tail ---


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("web",), TailWords("web", "stdout", 1600, follow=False)),
        (("web", "stderr"), TailWords("web", "stderr", 1600, follow=False)),
        (("-f", "web", "STDOUT"), TailWords("web", "stdout", 1024, follow=True)),
        (("-100000", "web"), TailWords("web", "stdout", 100_000, follow=False)),
    ],
)
def test_tail_reads_supervisorctls_words(words: tuple[str, ...], wanted: TailWords) -> None:
    assert parse_tail(words) == wanted


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Error: tail requires process name"),
        (("-f",), "Error: tail requires process name"),
        (("-x", "web"), "Error: bad argument -x"),
        (("-", "web"), "Error: bad argument -"),
        (("web", "stdin"), "Error: bad channel 'stdin'"),
        (("web", "stdout", "x"), "Error: too many arguments"),
    ],
)
def test_tail_refuses_in_supervisorctls_words(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(Refusal, match=message) as refusal:
        parse_tail(words)
    assert refusal.value.code is Exit.USAGE


def test_maintail_takes_no_name() -> None:
    assert parse_maintail(("-5",)).byte_count == 5
    with pytest.raises(Refusal, match="too many arguments"):
        parse_maintail(("-f", "web"))


# --- logs ---

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", "2026-03-01T12:20:15+00:00"),
        ("1h30m", "2026-03-01T11:00:15+00:00"),
        ("15", "2026-03-01T12:30:00+00:00"),
        ("9:05", "2026-03-01T09:05:00+00:00"),
        ("09:05:07", "2026-03-01T09:05:07+00:00"),
        ("2026-02-01", "2026-02-01T00:00:00+00:00"),
        ("2026-02-01T10:00:00", "2026-02-01T10:00:00+00:00"),
        ("2026-02-01T10:00:00+02:00", "2026-02-01T10:00:00+02:00"),
        ("today", "2026-03-01T00:00:00+00:00"),
        ("yesterday", "2026-02-28T00:00:00+00:00"),
        ("now", "2026-03-01T12:30:15+00:00"),
    ],
)
def test_points_in_time(text: str, moment: str) -> None:
    assert parse_moment(text, NOW) == datetime.fromisoformat(moment)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "-5m"])
def test_what_is_no_point_in_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_moment(text, NOW)


def test_times_are_utc_with_milliseconds() -> None:
    assert iso(nanoseconds(NOW) + 7_000_000) == "2026-03-01T12:30:15.007Z"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"plain\ttext", "plain\ttext"),
        (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
        (b"\x1b[2J\x1b[Hgone", "gone"),
        (b"\x1b]0;title\x07x", "x"),
        (b"\x1b]52;c;c2VjcmV0\x1b\\x", "x"),
        (b"\x1bP+q544e\x1b\\x", "x"),
        (b"\x1bc\x1b(0x", "x"),
        (b"a\rb\x00\x07\x7fc", "abc"),
        (b"\x1b", ""),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_terminal_is_shown_only_text_and_colours(text: bytes, shown: str) -> None:
    assert harmless(text, colours=True) == shown


def test_without_colours_none_are_left() -> None:
    assert harmless(b"\x1b[31mred\x1b[0m", colours=False) == "red"


LINE = Line("a", "stdout", 0, 1, 0, b"x\x1b[2Jy\r\n")


def test_bytes_go_to_a_file_as_they_are() -> None:
    assert LineLayout([], PLAIN, timestamps=False, for_terminal=False).render(LINE) == LINE.text


def test_names_are_aligned_and_end_of_line_is_added_where_it_lacks() -> None:
    layout = LineLayout(["a", "long"], PLAIN, timestamps=False, for_terminal=False)
    assert layout.render(LINE._replace(text=b"half")) == b"a    | half\n"
    assert LineLayout([], PLAIN, timestamps=False, for_terminal=True).render(LINE) == b"xy\n"


def test_each_session_has_a_colour_of_its_own() -> None:
    layout = LineLayout(["a", "b"], COLOURED, timestamps=False, for_terminal=True)
    heads = {layout.render(LINE._replace(session=name)).split(b"m")[0] for name in "ab"}
    assert len(heads) == 2


# --- facts and events ---


def test_facts_are_indented_and_lists_of_events_are_lines() -> None:
    facts = {
        "session": "web",
        "ring": {"size": 1, "stalled": False},
        "told": [{"time": 0.5, "text": "so"}],
        "none": None,
    }
    assert list(fact_lines(facts, PLAIN)) == [
        "session  web",
        "ring:",
        "  size     1",
        "  stalled  no",
        "told:",
        "  1970-01-01T00:00:00.500Z  so",
        "none     -",
    ]


def test_an_event_leaves_out_what_is_empty() -> None:
    assert event_text({"time": "t", "code": 3, "by": "", "more": {"a": [1, 2]}}, PLAIN) == "t  code=3 more=a=1,2"


def test_event_lines() -> None:
    said = "2026-01-01T00:00:00.000Z  web-0                EXITED    exited  code=3"
    assert event_line(happened(1, "web-0"), PLAIN) == said
    assert event_line(Missed(1, 5), PLAIN) == "(5 events were missed: this terminal was too slow)"


@pytest.mark.parametrize(
    ("wanted", "concerned"),
    [((), True), (("web-0",), True), (("web-*",), True), (("web:web-0",), True), (("db",), False)],
)
def test_events_of_sessions(wanted: tuple[str, ...], concerned: bool) -> None:  # noqa: FBT001 - a table's column
    assert concerns(happened(1, "web:web-0"), wanted) is concerned


def test_a_loss_of_events_concerns_everybody() -> None:
    assert concerns(Missed(1, 5), ("db",))


# --- top ---

FLEET = FleetStatus("agents", "running", 1, {}, "", "", "")


def sample(at_s: float, offset: int, cpu_s: float, *, epoch: int = 1, state: str = "RUNNING") -> Sample:
    one = session("web-0", state, group="web", pid=10, offset=offset, epoch=epoch, restarts=2)
    return Sample(at_s, FLEET, [one], {10: Usage(cpu_s, 2048, 3)}, {"web-0": 512})


def test_rates_are_differences_over_time() -> None:
    (row,) = rows_between(sample(0, 1000, 1.0), sample(2, 5000, 2.0))
    assert (row.session, row.cpu_percent, row.output_bytes_per_s) == ("web:web-0", 50.0, 2000.0)
    assert (row.memory_bytes, row.processes, row.lag_bytes, row.restarts) == (2048, 3, 512, 2)


def test_a_new_epoch_counts_from_its_beginning() -> None:
    (row,) = rows_between(sample(0, 9000, 5.0), sample(2, 100, 0.5, epoch=2))
    assert (row.cpu_percent, row.output_bytes_per_s) == (0.0, 50.0)


def test_a_child_that_ended_makes_no_negative_rate() -> None:
    (row,) = rows_between(sample(0, 0, 5.0), sample(1, 0, 4.0))
    assert row.cpu_percent == 0.0


def test_a_session_that_came_between_two_looks_has_no_rate_yet() -> None:
    before = Sample(0, FLEET, [], {}, {})
    (row,) = rows_between(before, sample(1, 10**9, 4.0))
    assert (row.cpu_percent, row.output_bytes_per_s) == (0.0, 0)


def test_the_table_sums_up_and_fits_the_terminal() -> None:
    (row,) = rows_between(sample(0, 0, 0.0), sample(1, 4096, 0.5))
    lines = top_lines(FLEET, [row], PLAIN)
    assert lines[0] == "agents running, 1 sessions: 1 RUNNING; cpu 50%, mem 2.0K, out 4.0K/s"
    assert lines[2].split() == ["web:web-0", "RUNNING", "10", "50.0", "2.0K", "4.0K", "512", "0", "2", "0:00:06"]
    assert max(map(len, top_lines(FLEET, [row], PLAIN, width=60)[:2])) <= 60


def test_the_greatest_come_first() -> None:
    (row,) = rows_between(sample(0, 0, 0.0), sample(1, 0, 0.5))
    rows = [row, replace(row, session="b", cpu_percent=90.0, memory_bytes=1, restarts=9, output_bytes_per_s=5.0)]
    first = {order: ordered(rows, order)[0].session for order in Order}
    assert first == {
        Order.NAME: "web:web-0",
        Order.CPU: "b",
        Order.MEMORY: "web:web-0",
        Order.OUTPUT: "b",
        Order.RESTARTS: "b",
    }


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (999, "999"), (1000, "1.0K"), (150_000, "146K"), (3 * 2**30, "3.0G"), (2**60, "1024P")],
)
def test_amounts_are_short(number: float, said: str) -> None:
    assert amount(number) == said


def test_a_tree_is_summed_and_a_circle_ends() -> None:
    rows = [ProcessRow(1, 0, 1.0, 10), ProcessRow(2, 1, 2.0, 20), ProcessRow(3, 2, 4.0, 40), ProcessRow(9, 8, 8.0, 80)]
    assert usage_of(rows, [1, 9, 7]) == {1: Usage(7.0, 70, 3), 9: Usage(8.0, 80, 1), 7: Usage()}
    assert usage_of([ProcessRow(1, 1, 1.0, 1)], [1])[1].processes == 1


# --- colours, records ---


@pytest.mark.parametrize(
    ("env", "terminal", "on"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colours_only_where_they_are_wanted(env: dict[str, str], terminal: bool, on: bool) -> None:  # noqa: FBT001 - a table's columns
    assert ink_for(env, is_terminal=terminal).on is on


@pytest.mark.parametrize(
    ("raw", "record"),
    [
        (b'{"version":1,"name":"a","pid":7,"ring_dir":"/r"}', FleetRecord(name="a", pid=7, ring_dir="/r")),
        (b'{"name":5,"pid":"x","log_dir":"/l","new":{}}', FleetRecord(log_dir="/l")),
        (b'{"pid":true}', FleetRecord()),
        (b"[]", FleetRecord()),
        (b"{", FleetRecord()),
        (b"\xff\xfe", FleetRecord()),
        (b"", FleetRecord()),
    ],
)
def test_a_record_is_read_as_far_as_it_is_sound(raw: bytes, record: FleetRecord) -> None:
    assert parse_fleet_record(raw) == record
