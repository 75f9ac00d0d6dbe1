"""The modes of a terminal are followed through any stream, however it is cut."""

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.mode_tracker import NOWHERE, ModeTracker, Snapshot
from ipc.terminal_modes import FRESH, PASTE, SYNCHRONIZED, Modes, reset_sequence, restore_sequence

SEQUENCES = [
    b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?47h", b"\x1b[?1047l", b"\x1b[2J", b"\x1b[H\x1b[2J\x1b[3J", b"\x1bc",
    b"\x1b[!p", b"\x1b[?25l", b"\x1b[?25h", b"\x1b[?1000;1006h", b"\x1b[?1002h", b"\x1b[?1000l", b"\x1b[?2004h",
    b"\x1b[?2004l", b"\x1b[?7l", b"\x1b[?6h", b"\x1b[?2026h", b"\x1b[?1h\x1b=", b"\x1b>", b"\x1b[4h", b"\x1b[20h",
    b"\x1b[4l", b"\x1b[3;20r", b"\x1b[r", b"\x1b(0", b"\x1b(B", b"\x1b)0", b"\x0e", b"\x0f", b"\x1b[31m",
    b"\x1b[0;1;44m", b"\x1b[m", b"\x1b[0m", b"\x1b[4 q", b"\x1b[ q", b"\x1b[>1u", b"\x1b[<u", b"\x1b[=5;2u",
    b"\x1b[>4;2m", b"\x1b[>4m", b"\x1b]0;title\x07", b"\x1b]2;other\x1b\\", b"\x1b]11;#000000\x07", b"\x1b]11;?\x07",
    b"\x1b]111\x07", b"\x1b]4;1;red\x07", b"\x1bPq#0;1\x07still\x1b\\", b"\x1b_Gi=1;AAAA\x1b\\",
    b"\x1b]52;c;" + b"Q" * 9000 + b"\x07",
    b"\x1b[5;5H", b"\x1b[K", b"\x1b[?1$p", b"\x1b[c", b"text", "─é日😀".encode(), b"\r\n", b"\x1b", b"\x1b[",
    b"\xe2\x94",
    b"\x1b]2;cut", b"\x18", b"\x1b[" + b"1" * 300 + b"h", b"\x1bX\x1b[31mx\x1b\\",
]  # fmt: skip
STREAMS = st.lists(st.one_of(st.sampled_from(SEQUENCES), st.binary(max_size=6)), max_size=25).map(b"".join)


def tracked(*pieces: bytes, begin: Snapshot | None = None) -> ModeTracker:
    tracker = ModeTracker(begin or Snapshot())
    for piece in pieces:
        tracker.feed(piece)
    return tracker


def modes(stream: bytes) -> Modes:
    return tracked(stream).modes


@settings(max_examples=600, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=12))
def test_no_split_changes_what_is_found(stream: bytes, places: list[int]) -> None:
    cuts = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    pieces = [stream[a:b] for a, b in itertools.pairwise(cuts)]
    assert tracked(*pieces).snapshot() == tracked(stream).snapshot()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([s for s in SEQUENCES if len(s) < 1000]), max_size=8).map(b"".join))
def test_byte_by_byte_is_no_exception(stream: bytes) -> None:
    assert tracked(*(stream[i : i + 1] for i in range(len(stream)))).snapshot() == tracked(stream).snapshot()


@settings(max_examples=300, deadline=None)
@given(STREAMS)
def test_restore_brings_a_fresh_terminal_there_and_reset_brings_it_back(stream: bytes) -> None:
    wanted = modes(stream)
    there = tracked(restore_sequence(wanted)).modes
    shown = {mode: on for mode, on in wanted.private.items() if mode != SYNCHRONIZED}
    colours = {number: colour for number, colour in wanted.colours.items() if number != 4}  # nobody knows the palette
    assert there == msgspec.structs.replace(wanted, private=shown, colours=colours)
    back = tracked(restore_sequence(wanted), reset_sequence(wanted)).modes
    assert msgspec.structs.replace(back, title=b"") == FRESH


@settings(max_examples=200, deadline=None)
@given(STREAMS)
def test_reset_works_in_the_middle_of_anything(stream: bytes) -> None:
    """Also where the stream was cut within a sequence."""
    tracker = tracked(stream)
    tracker.feed(reset_sequence(tracker.modes))
    assert msgspec.structs.replace(tracker.modes, title=b"") == FRESH


@settings(max_examples=100, deadline=None)
@given(STREAMS, STREAMS)
def test_a_snapshot_is_all_there_is_to_know(first: bytes, second: bytes) -> None:
    stored = msgspec.msgpack.encode(tracked(first).snapshot())
    again = ModeTracker(msgspec.msgpack.decode(stored, type=Snapshot))
    again.feed(second)
    assert again.snapshot() == tracked(first, second).snapshot()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"\x1b[?1;2004h", Modes(private={1: True, 2004: True})),
        (b"\x1b[?25l", Modes(private={25: False})),
        (b"\x1b[?25l\x1b[?25h", FRESH),
        (b"\x1b[?1049h\x1b[?1006h\x1b[?1049l", Modes(private={1006: True})),
        (b"\x1b[?1049h", Modes(alternate=1049)),
        (b"\x1b[2;30r", Modes(scroll_region=b"2;30")),
        (b"\x1b(0\x0e", Modes(charsets={b"(": b"0"}, shifted=True)),
        (b"\x1b[1m\x1b[0m\x1b[31m\x1b[44m", Modes(rendition=(b"31", b"44"))),
        (b"\x1b[1m\x1b[0;7mx", Modes(rendition=(b"0;7",))),
        (b"\x1b[>1u\x1b[>5u\x1b[<u", Modes(keyboard=((1,), ()))),
        (b"\x1b[>1u\x1b[?1049h\x1b[>5u\x1b[?1049l", Modes(keyboard=((1,), ()))),
        (b"\x1b]0;\xc3\xa9t\xc3\xa9\x07", Modes(title="été".encode())),
        (b"\x1b]2;no end", FRESH),
        (b"\x1b]11;?\x07", FRESH),
        (b"\x1b[?1000h\x1b[31m\x1b[4h\x1bc", FRESH),
        (b"\x1b[?1000h\x1b[?6h\x1b[31m\x1b[!p", Modes(private={1000: True})),
        (b"\x1bP\x1b\\\x1b[5 q", Modes(cursor_style=b"5")),
        (b"\x1bPq\x07\x1b[?2004h", Modes(private={2004: True})),
        (b"\x1b_\x0e\x1b\\", FRESH),
    ],
)
def test_each_mode_is_known(stream: bytes, expected: Modes) -> None:
    assert modes(stream) == expected


def test_the_mouse_mode_that_was_set_last_is_restored_last() -> None:
    stream = b"\x1b[?1000h\x1b[?1002h\x1b[?1000h"
    assert list(modes(stream).private) == [1002, 1000]
    assert restore_sequence(modes(stream)).index(b"?1000h") > restore_sequence(modes(stream)).index(b"?1002h")


def test_modes_are_asked_by_number() -> None:
    assert modes(b"\x1b[?2004h").is_on(PASTE)
    assert not modes(b"").is_on(PASTE)
    assert FRESH.is_on(25)


def test_a_clear_is_a_safe_point_with_the_modes_before_it() -> None:
    tracker = tracked(b"some text\x1b[44m\x1b[?7l\x1b[2Jmore")
    assert tracker.safe_point is not None
    assert tracker.safe_point.offset == len(b"some text\x1b[44m\x1b[?7l")
    assert tracker.safe_point.modes == Modes(private={7: False}, rendition=(b"44",))


def test_the_alternate_screen_takes_its_safe_point_with_it() -> None:
    tracker = tracked(b"a\x1b[2Jb\x1b[?1049hc")
    assert tracker.safe_point is not None
    assert tracker.safe_point.offset == 6
    tracker.feed(b"\x1b[2Jd\x1b[?1049l")
    assert tracker.safe_point is not None
    assert tracker.safe_point.offset == 1
    assert tracker.alternate_point is None


def test_what_is_in_a_string_is_no_sequence() -> None:
    assert tracked(b"\x1b]2;x\x1b[2J\x07").safe_point is not None  # ESC ended the string
    assert tracked(b"\x1b]2;[2J\x07").safe_point is None


@pytest.mark.parametrize("unfinished", [b"\x1b", b"\x1b[?20", b"\x1b]2;tit", b"\x1b]2;tit\x1b", b"\xe2\x94", b"\x1b("])
def test_the_boundary_is_where_the_unfinished_began(unfinished: bytes) -> None:
    tracker = tracked(b"12345", unfinished[:1], unfinished[1:])
    assert tracker.boundary == 5
    assert tracker.offset == 5 + len(unfinished)


def test_the_boundary_holds_in_a_string_of_megabytes() -> None:
    tracker = tracked(b"12345\x1bP", *[b"x" * 65536] * 32)
    assert tracker.boundary == 5
    assert len(tracker.snapshot().pending) < 5000
    tracker.feed(b"\x1b\\\x1b[2J")
    assert tracker.safe_point is not None
    assert tracker.safe_point.offset == 7 + 32 * 65536 + 2


def test_one_who_begins_in_the_middle_knows_when_he_knows_the_screen() -> None:
    assert not tracked(b"\x1b[2J\x1b[31mtext", begin=NOWHERE).knows_screen
    for switch in (b"\x1b[?1049h", b"\x1b[?1049l", b"\x1bc"):
        assert tracked(switch, begin=NOWHERE).knows_screen


def test_what_is_kept_is_bounded() -> None:
    stream = b"".join(b"\x1b[?%dh\x1b[%dm\x1b[>%du" % (n, n + 1, n) for n in range(3000, 4000))
    found = modes(stream)
    assert (len(found.private), len(found.rendition), len(found.keyboard[0])) == (64, 16, 8)
