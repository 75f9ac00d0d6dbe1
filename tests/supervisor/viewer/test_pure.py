"""What decides in a viewer: keys, detaching, answers, what is shown of the past, what waits to go in."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from childproc import worker
from ipc import router
from ipc.mode_tracker import ModeTracker, Snapshot
from ipc.router_messages import LastBytes, Since
from ipc.terminal_modes import FRESH, Modes
from ipc.worker_messages import Discarded, Greeting, Input, Refusal, Refused, Written
from supervisor.cli.expect import Searcher
from supervisor.cli.keys import key_bytes, parse_key
from supervisor.cli.viewer.answers import AnswerFilter
from supervisor.cli.viewer.detach import DetachKey
from supervisor.cli.viewer.outbox import MOST_UNANSWERED_BYTES, Outbox
from supervisor.cli.viewer.picture import FAR_BYTES, NEAR_BYTES, Past, picture_of, without_effects
from supervisor.cli.viewer.places import Place, router_path, worker_path
from supervisor.cli.viewer.recollection import HEAD_BYTES, TAIL_BYTES, WIDE_BYTES, Recollection
from supervisor.cli.viewer.redial import Redial
from supervisor.cli.viewer.sizing import Policy, Size, jiggled, wanted_size

# ---- keys


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a", b"a"), ("C-c", b"\x03"), ("^C", b"\x03"), ("C-\\", b"\x1c"), ("C-Space", b"\0"), ("M-x", b"\x1bx"),
        ("C-M-a", b"\x1b\x01"), ("Enter", b"\r"), ("enter", b"\r"), ("BTab", b"\x1b[Z"), ("S-Tab", b"\x1b[Z"),
        ("Up", b"\x1b[A"), ("C-Up", b"\x1b[1;5A"), ("F1", b"\x1bOP"), ("S-F1", b"\x1b[1;2P"), ("F12", b"\x1b[24~"),
        ("PgUp", b"\x1b[5~"), ("M-Del", b"\x1b[3;3~"), ("Esc", b"\x1b"), ("S-Enter", b"\x1b[13;2u"), ("-", b"-"),
        ("S-a", b"A"), ("é", "é".encode()), ("Home", b"\x1b[H"), ("^", b"^"),
    ],
)  # fmt: skip
def test_keys_are_sent_as_terminals_send_them(name: str, sent: bytes) -> None:
    assert key_bytes(parse_key(name)) == sent


def test_cursor_keys_follow_the_mode() -> None:
    assert key_bytes(parse_key("Up"), application_cursor=True) == b"\x1bOA"
    assert key_bytes(parse_key("C-Up"), application_cursor=True) == b"\x1b[1;5A"


@pytest.mark.parametrize(("name", "hint"), [("Entr", "did you mean Enter?"), ("C-é", "use a letter"), ("", "keys are")])
def test_a_key_that_is_none_is_explained(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        parse_key(name)


# ---- detaching


def fed(key: DetachKey, *typed: bytes) -> tuple[bytes, bool]:
    out = b""
    for piece in typed:
        passed, detached = key.feed(piece)
        out += passed
        if detached:
            return out, True
    return out, False


@pytest.mark.parametrize(
    ("strokes", "typed", "passed", "detached"),
    [
        ("C-\\", [b"ab\x1ccd"], b"ab", True),
        ("C-\\", [b"abcd"], b"abcd", False),
        ("C-\\", [b"\x1b[92;5u"], b"", True),
        ("C-\\", [b"\x1b[92;69:1u"], b"", True),  # with Caps Lock
        ("C-\\", [b"\x1b[92;5:3u"], b"\x1b[92;5:3u", False),  # released
        ("C-\\", [b"\x1b[92;6u"], b"\x1b[92;6u", False),  # with Shift
        ("C-\\", [b"\x1b[27;5;92~"], b"", True),
        ("C-\\", [b"\x1b[200~a\x1cb\x1b[201~c", b"\x1c"], b"\x1b[200~a\x1cb\x1b[201~c", True),
        ("C-\\", [b"\x1b[200~a\x1c", b"b\x1b[20", b"1~c", b"\x1c"], b"\x1b[200~a\x1cb\x1b[201~c", True),
        ("C-a d", [b"x\x01", b"d"], b"x", True),
        ("C-a d", [b"x\x01", b"e\x01d"], b"x\x01e", True),
        ("C-a d", [b"\x01\x01d"], b"\x01", True),
        ("none", [b"\x1c\x1d"], b"\x1c\x1d", False),
    ],
)
def test_the_detach_key(strokes: str, typed: list[bytes], passed: bytes, *, detached: bool) -> None:
    assert fed(DetachKey(strokes), *typed) == (passed, detached)


# ---- answers

ANSWERS = [
    b"\x1b[?62;22c", b"\x1b[>1;2;0c", b"\x1b[12;40R", b"\x1b[?2026;2$y", b"\x1b]11;rgb:0/0/0\x1b\\",
    b"\x1b]4;1;rgb:0/0/0\x07", b"\x1bP>|XTerm(370)\x1b\\", b"\x1bP1+r544e=78\x1b\\", b"\x1b_Gi=1;OK\x1b\\",
    b"\x1b[8;24;80t", b"\x1b[?1u",
]  # fmt: skip
TYPED = [b"a", b"\x1b[A", b"\x1bOP", b"\x1b[200~text\x1b[201~", b"\x1b[I", "é".encode(), b"\r", b"\x1b[<0;1;1M"]


@given(st.lists(st.sampled_from(ANSWERS + TYPED), max_size=12), st.lists(st.integers(0, 200), max_size=6))
def test_answers_are_kept_back_and_keys_are_not(pieces: list[bytes], places: list[int]) -> None:
    stream = b"".join(pieces) + b"\x1b[0n\x1b[1;1Rafter"
    filtered = AnswerFilter()
    filtered.fences = 1
    cuts = sorted({0, len(stream), *(place % len(stream) for place in places)})
    out = b""
    for start, end in itertools.pairwise(cuts):
        out += stream[start:end] if filtered.over else filtered.feed(stream[start:end])
    assert out == b"".join(piece for piece in pieces if piece in TYPED) + b"\x1b[1;1Rafter"


def test_two_fences_need_two_answers() -> None:
    filtered = AnswerFilter()
    filtered.fences = 2
    assert filtered.feed(b"\x1b[0n\x1b[1;1R") == b""
    assert not filtered.over
    assert filtered.feed(b"\x1b[0nx") == b"x"
    assert filtered.over


def test_a_key_that_might_have_been_an_answer_is_given_back() -> None:
    filtered = AnswerFilter()
    assert filtered.feed(b"x\x1b") == b"x"
    assert filtered.release() == b"\x1b"


# ---- the picture


def past(data: bytes, offset: int = 0, **known: object) -> Past:
    return Past(Snapshot(offset, **known), data)


def drawn(data: bytes) -> Modes:
    tracker = ModeTracker()
    tracker.feed(data)
    return tracker.modes


def test_a_young_session_is_shown_from_its_first_byte() -> None:
    picture = picture_of(past(b"\x1b[31mhello\r\n\x1b[?2004h$ "))
    assert picture.shown.endswith(b"\x1b[31mhello\r\n\x1b[?2004h$ ")
    assert not picture.in_doubt


def test_the_replay_begins_at_the_last_clear_with_the_modes_of_that_place() -> None:
    picture = picture_of(past(b"\x1b[?7l\x1b[44m" + b"x" * 1000 + b"\x1b[2Jrest"))
    assert b"x" * 10 not in picture.shown
    assert picture.shown.endswith(b"\x1b[2Jrest")
    assert drawn(picture.shown) == Modes(private={7: False}, rendition=(b"44",))


def test_far_from_a_clear_the_last_lines_are_shown_from_the_beginning_of_one() -> None:
    lines = b"".join(b"line %07d\r\n" % number for number in range(200_000))
    picture = picture_of(past(b"\x1b[2J\x1b[1m" + lines))
    shown = picture.shown.removeprefix(b"\x1b[1m\x1b[H")
    assert len(lines) > FAR_BYTES
    assert shown.startswith(b"line ")
    assert lines.endswith(shown)
    assert NEAR_BYTES - 100 < len(shown) <= NEAR_BYTES


def test_both_screens_are_shown_when_the_alternate_one_is_on() -> None:
    entered = b"main text\r\n\x1b[?1049hdrawn"
    assert picture_of(past(entered)).shown.endswith(entered)
    much = b"z" * (2 * FAR_BYTES)
    picture = picture_of(past(b"main text\r\n\x1b[?1049h\x1b[?25l" + much + b"\x1b[2Jdrawn"))
    assert b"main text" in picture.shown
    assert b"zzz" not in picture.shown
    assert picture.shown.endswith(b"\x1b[2Jdrawn")
    assert drawn(picture.shown) == Modes(alternate=1049, private={25: False})
    assert picture.in_doubt


def test_what_the_head_left_behind_holds_where_nothing_says_otherwise() -> None:
    picture = picture_of(past(b"\x1b[5;5Hx" * 10, 10**9, modes=Modes(alternate=1049), knows_screen=False))
    assert drawn(picture.shown).alternate == 1049
    assert picture.in_doubt


@pytest.mark.parametrize("cut", [b"\x1b[?20", b"\x1b]2;ti", b"\xe2\x94", b"\x1b"])
def test_an_unfinished_end_waits_for_the_live_output(cut: bytes) -> None:
    picture = picture_of(past(b"text" + cut))
    assert picture.rest == cut
    assert picture.shown.endswith(b"text")
    assert picture.tracker.offset == 4 + len(cut)


@given(st.binary(max_size=200), st.integers(0, 5000))
def test_any_bytes_make_a_picture_that_ends_where_the_stream_stands(data: bytes, offset: int) -> None:
    picture = picture_of(past(data, offset))
    assert picture.tracker.offset == offset + len(data)
    assert data.endswith(picture.rest)


def test_the_past_asks_nothing_rings_no_bell_and_touches_no_clipboard() -> None:
    silent = b"a\x1b[31mb\x1b]0;title\x07c\x1bPq#0\x1b\\d\x1b[2J"
    loud = (
        b"\x07\x1b[c\x1b[>c\x1b[6n\x1b[?2026$p\x1b[>0q\x1b[?u\x1b]11;?\x07\x1b]52;c;AAAA\x07\x1b[3J\x1b[18t"
        b"\x1b]9;ping\x1b\\\x1bP+q544e\x1b\\"
    )
    assert without_effects(loud + silent + loud) == silent


# ---- how far back


def looks(stream: bytes, head: bytes = b"") -> tuple[list[object], Past]:
    """A recollection of this stream; `head` stands at its beginning instead."""
    stream = head + stream[len(head) :]
    recollection = Recollection()
    asked: list[object] = []
    while True:
        asked.append(recollection.origin)
        match recollection.origin:
            case LastBytes(count):
                begin, end = max(0, len(stream) - count), len(stream)
            case _:
                begin, end = 0, HEAD_BYTES
        for at in range(begin, end, 65536):
            recollection.take(1, at, stream[at : min(end, at + 65536)])
        if recollection.is_enough():
            return asked, recollection.past()


def test_a_young_session_needs_one_look() -> None:
    asked, found = looks(b"x" * 1000)
    assert asked == [LastBytes(TAIL_BYTES)]
    assert found == Past(Snapshot(), b"x" * 1000)


def test_an_old_one_is_asked_how_it_began() -> None:
    asked, found = looks(b"x" * (20 << 20), b"\x1b[?1049h\x1b[?1000h")
    assert asked == [LastBytes(TAIL_BYTES), Since(1, 0), LastBytes(WIDE_BYTES)]
    modes = Modes(alternate=1049, private={1000: True})
    assert found.before == Snapshot((20 << 20) - WIDE_BYTES, modes, knows_screen=False)
    assert len(found.data) == WIDE_BYTES


def test_who_switched_screens_lately_is_not_looked_at_further() -> None:
    stream = b"x" * (20 << 20) + b"\x1b[?1049l" + b"y" * 1000
    asked, found = looks(stream)
    assert asked[-1] == LastBytes(TAIL_BYTES)
    assert picture_of(found).tracker.modes == FRESH


def test_head_and_tail_that_touch_leave_no_doubt() -> None:
    asked, found = looks(b"x" * (WIDE_BYTES + 1000), b"\x1b[2J")
    assert len(asked) == 3
    assert found.before.knows_screen
    assert found.before.main_point is not None


def test_what_lies_before_a_gap_is_forgotten() -> None:
    recollection = Recollection()
    recollection.take(1, 0, b"\x1b[?1049h")
    recollection.take(1, 100, b"text")
    assert recollection._begin == 100
    assert not recollection.is_enough()


# ---- what waits to go in


def sent_of(outbox: Outbox) -> list[Input]:
    messages = []
    while (message := outbox.next_message()) is not None:
        outbox.sent()
        messages.append(message)
    return messages


def greeting(input_offset: int, in_doubt: int = 0) -> Greeting:
    return Greeting("s", 1, 1, 80, 24, input_offset, in_doubt)


OVERTAKERS = (b"\x03", b"\x1a", b"\x1c")  # an interrupt alone goes before what still waits


@given(st.lists(st.binary(min_size=1, max_size=200_000).filter(lambda data: data not in OVERTAKERS), max_size=8))
def test_everything_goes_in_once_in_order_and_never_too_much_at_a_time(typed: list[bytes]) -> None:
    outbox = Outbox()
    gone = b""
    for data in typed:
        outbox.type(data)
    while outbox:
        messages = sent_of(outbox)
        assert sum(len(message.data) for message in messages) < MOST_UNANSWERED_BYTES + (1 << 16)
        for message in messages:
            gone += message.data
            outbox.answered(Written(message.id, len(gone)))
    assert gone == b"".join(typed)


def test_a_new_worker_gets_what_the_old_one_had_not_put_in() -> None:
    outbox = Outbox()
    assert outbox.greeted(greeting(1000)) == 0
    for word in (b"one", b"two", b"three"):
        outbox.type(word)
        sent_of(outbox)
    outbox.answered(Written(1, 1003))
    assert outbox.greeted(greeting(1004)) == 0
    assert b"".join(message.data for message in sent_of(outbox)) == b"wothree"


def test_what_is_in_doubt_is_not_sent_twice() -> None:
    outbox = Outbox()
    outbox.greeted(greeting(0))
    outbox.type(b"rm x\r")
    sent_of(outbox)
    outbox.type(b"more")
    sent_of(outbox)
    assert outbox.greeted(greeting(0, in_doubt=5)) == 5
    assert [message.data for message in sent_of(outbox)] == [b"more"]


def test_an_interrupt_overtakes_a_paste_and_sweeps_it() -> None:
    outbox = Outbox()
    outbox.type(b"x" * (2 * MOST_UNANSWERED_BYTES))
    before = sent_of(outbox)
    outbox.type(b"\x03")
    assert [message.data for message in sent_of(outbox)] == [b"\x03"]
    outbox.type(b"after")
    for message in before:
        outbox.answered(Discarded(message.id))
    assert [message.data for message in sent_of(outbox)] == [b"after"]


def test_a_refused_chunk_is_counted() -> None:
    outbox = Outbox()
    outbox.type(b"12345")
    (message,) = sent_of(outbox)
    assert outbox.answered(Refused(message.id, Refusal.FULL, 1, 1)) == 5
    assert not outbox


# ---- the rest


def test_redialling_is_quick_at_first_and_patient_later() -> None:
    redial = Redial()
    assert redial.deadline_s() is None
    redial.lost(10.0)
    waits, now_s = [], 10.0
    while now_s < 20.0:
        assert redial.is_due(now_s)
        redial.tried(now_s)
        waits.append((redial.deadline_s() or 0.0) - now_s)
        now_s = redial.deadline_s() or 0.0
    assert waits[0] < 0.002
    assert max(waits) == pytest.approx(0.25)
    assert redial.missed_s(now_s) == now_s - 10.0
    redial.dialled(now_s)
    assert not redial.is_due(now_s + 1)
    assert redial.missed_s(now_s) == now_s - 10.0
    redial.found()
    assert redial.missed_s(now_s) == 0


def test_who_takes_a_call_and_dies_is_called_again_soon() -> None:
    """Not when his answer would have been overdue."""
    redial = Redial()
    redial.lost(10.0)
    redial.dialled(10.0)
    redial.lost(10.1)
    assert redial.deadline_s() == pytest.approx(10.1, abs=0.01)
    assert redial.missed_s(11.0) == 1.0


@pytest.mark.parametrize(
    ("policy", "writes", "expected"),
    [
        (Policy.FIXED, True, (80, 24)), (Policy.WRITER, True, (100, 20)), (Policy.WRITER, False, (80, 24)),
        (Policy.LATEST, False, (100, 20)), (Policy.SMALLEST, True, (80, 20)),
    ],
)  # fmt: skip
def test_whose_size_counts(policy: Policy, expected: tuple[int, int], *, writes: bool) -> None:
    assert wanted_size(policy, Size(100, 20), Size(80, 24), writes=writes) == expected


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_jiggle_is_another_size_and_a_possible_one(cols: int, rows: int) -> None:
    there = jiggled(Size(cols, rows))
    assert there != Size(cols, rows)
    assert min(there) >= 1


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_a_match_is_found_in_any_pieces(noise: bytes, places: list[int]) -> None:
    stream = noise.replace(b"n", b"m") + b"needle"
    cuts = sorted({0, len(stream), *(place % len(stream) for place in places)})
    searcher = Searcher(re.compile(b"n(ee)dle"))
    found = [searcher.feed(stream[a:b]) for a, b in itertools.pairwise(cuts)]
    assert [match[1] for match in found if match] == [b"ee"]


def test_the_lines_lead_where_the_daemon_put_them() -> None:
    place = Place("/run/x", "web-0")
    assert router_path(place) == router.router_socket_path("/run/x")
    assert worker_path(place) == worker.input_socket_path("/run/x", "web-0")
