"""Finding the rings that have something new among all that there are."""

import random

import pytest

from ipc.board import (
    BELLS,
    BOARD_BYTES,
    MAX_SESSIONS,
    aside_word,
    death_word,
    initial_board,
    mirror_word,
    serving_word,
    sleeping_word,
)
from ipc.board_watch import BoardWatch

BELL = 3


@pytest.fixture
def board() -> memoryview:
    return memoryview(initial_board() + bytearray(BOARD_BYTES - len(initial_board()))).cast("Q")


def read_to_end(watch: BoardWatch) -> list[int]:
    slots = watch.dirty()
    for slot in slots:
        watch.done(slot)
    return slots


def test_a_ring_is_work_from_the_start_and_then_when_its_mirror_moves(board: memoryview) -> None:
    """Whatever the mirror says at first; afterwards only a difference counts."""
    watch = BoardWatch(board, BELL)
    watch.watch(5)
    assert read_to_end(watch) == [5]
    assert watch.dirty() == []
    board[mirror_word(5)] = 9
    assert read_to_end(watch) == [5]
    assert watch.dirty() == []
    board[mirror_word(5)] = 8  # the mirror of a killed writer stands behind: a difference all the same
    assert read_to_end(watch) == [5]


def test_work_stays_work_until_it_is_done(board: memoryview) -> None:
    """A turn that ends before the ring's end changes nothing."""
    watch = BoardWatch(board, BELL)
    watch.watch(1)
    board[mirror_word(1)] = 1
    assert [watch.dirty() for _ in range(3)] == [[1]] * 3


def test_what_comes_while_a_ring_is_read_is_seen_at_the_next_look(board: memoryview) -> None:
    """`done` settles what was looked at, not what has come since."""
    watch = BoardWatch(board, BELL)
    watch.watch(1)
    assert watch.dirty() == [1]
    board[mirror_word(1)] = 1
    watch.done(1)
    assert watch.dirty() == [1]


def test_only_watched_rings_are_work(board: memoryview) -> None:
    """The rings of others, and those that are left alone for a while, do not count; watched again they are work."""
    watch = BoardWatch(board, BELL)
    for slot in (2, 7):
        watch.watch(slot)
    for slot in range(10):
        board[mirror_word(slot)] = 1
    assert read_to_end(watch) == [2, 7]
    watch.ignore(2)
    board[mirror_word(2)] = board[mirror_word(7)] = 2
    assert read_to_end(watch) == [7]
    watch.watch(2)
    assert read_to_end(watch) == [2]


def test_first_and_last_slot(board: memoryview) -> None:
    """The whole board is looked at, and no slot is beyond it."""
    watch = BoardWatch(board, BELL)
    for slot in (0, MAX_SESSIONS - 1):
        watch.watch(slot)
    read_to_end(watch)
    board[mirror_word(0)] = board[mirror_word(MAX_SESSIONS - 1)] = 1
    assert read_to_end(watch) == [0, MAX_SESSIONS - 1]
    with pytest.raises(ValueError, match="at most 4096 sessions"):
        mirror_word(MAX_SESSIONS)


def test_big_numbers_are_told_apart(board: memoryview) -> None:
    """64 bits are compared, all of them."""
    watch = BoardWatch(board, BELL)
    watch.watch(0)
    for value in (2**63, 2**63 + 1, 2**64 - 1, 2**32, 0):
        read_to_end(watch)
        board[mirror_word(0)] = value
        assert watch.dirty() == [0], value


def test_whoever_sleeps_says_so_first_and_looks_once_more(board: memoryview) -> None:
    """With work there is no sleep and no flag; without, the flag of its own bell and no other."""
    watch = BoardWatch(board, BELL)
    watch.watch(0)
    assert not watch.prepare_sleep()
    assert board[sleeping_word(BELL)] == 0
    read_to_end(watch)
    assert watch.prepare_sleep()
    assert [board[sleeping_word(bell)] for bell in range(BELLS)] == [int(bell == BELL) for bell in range(BELLS)]
    watch.wake()
    assert board[sleeping_word(BELL)] == 0


def test_a_frame_between_flag_and_look_keeps_the_watch_awake(
    board: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look comes after the barrier, and the barrier after the flag."""
    watch = BoardWatch(board, BELL)
    watch.watch(0)
    read_to_end(watch)

    def frame_arrives() -> None:
        assert board[sleeping_word(BELL)] == 1
        board[mirror_word(0)] = 1

    monkeypatch.setattr("ipc.board_watch.barrier", frame_arrives)
    assert not watch.prepare_sleep()


def test_what_a_ring_promises_is_settled_before_it_is_read(board: memoryview, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the mirrors and the answer: where stores change places, COMMIT is behind its mirror until
    then."""
    watch = BoardWatch(board, BELL)
    watch.watch(0)
    read_to_end(watch)
    board[mirror_word(0)] = 1
    looks = []

    def too_late_for_this_look() -> None:
        looks.append(board[mirror_word(0)])
        board[mirror_word(0)] = 0

    monkeypatch.setattr("ipc.board_watch.settle", too_late_for_this_look)
    assert watch.dirty() == [0]
    assert looks == [1]


def test_no_two_words_of_the_board_are_the_same() -> None:
    """Every word has one meaning, and all of them lie on the board."""
    words = [word(bell) for bell in range(BELLS) for word in (sleeping_word, serving_word)]
    for slot in (0, 1, MAX_SESSIONS - 1):
        words += [mirror_word(slot), aside_word(slot), *(death_word(slot, index) for index in range(3))]
    assert len(set(words)) == len(words)
    assert max(words) < BOARD_BYTES // 8


@pytest.mark.parametrize("seed", range(5))
def test_any_history_agrees_with_a_plain_dictionary(board: memoryview, seed: int) -> None:
    """Watching, ignoring, commits and reads in any order: the same slots as a loop over all of them would find."""
    rng, watch = random.Random(seed), BoardWatch(board, BELL)
    watched: set[int] = set()
    owed: set[int] = set()
    seen = dict.fromkeys(range(40), 0)
    for _ in range(2000):
        slot = rng.randrange(40)
        match rng.choice(("commit", "commit", "look", "watch", "ignore")):
            case "commit":
                board[mirror_word(slot)] += 1
            case "watch":
                watch.watch(slot)
                watched.add(slot)
                owed.add(slot)
            case "ignore":
                watch.ignore(slot)
                watched.discard(slot)
                owed.discard(slot)
            case "look":
                moved = {one for one in watched if board[mirror_word(one)] != seen[one]}
                assert watch.dirty() == sorted(moved | owed)
                for one in rng.sample(sorted(moved | owed), rng.randint(0, len(moved | owed))):
                    watch.done(one)
                    owed.discard(one)
                    seen[one] = board[mirror_word(one)]
