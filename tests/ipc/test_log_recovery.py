"""What stands at a file's end, decided from values; and what an index tells, from its records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.log_history import Block, Gap, history_of
from ipc.log_index import NOWHERE, Anchor, Cause, Check, Close, Position
from ipc.log_recovery import TAIL_BYTES, Resumption, last_block, refute, resume

LAST = Check(1000, Position(3, 5000), 0, 0)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1000, Resumption(Position(3, 5000), 1000)),
        (1010, Resumption(Position(3, 5010), 1010, Cause.RESUMED, in_doubt=True)),
        (
            1000 + TAIL_BYTES,
            Resumption(Position(3, 5000 + TAIL_BYTES), 1000 + TAIL_BYTES, Cause.RESUMED, in_doubt=True),
        ),
        (1001 + TAIL_BYTES, Resumption(Position(3, 5000), 1000, Cause.FOREIGN)),
        (999, Resumption(Position(3, 5000), 1000, Cause.TRUNCATED)),
        (0, Resumption(Position(3, 5000), 1000, Cause.TRUNCATED)),
    ],
)
def test_a_new_process_concludes_from_the_last_record_and_the_size(size, expected):
    """Bytes behind the record are the stream's, within bounds."""
    assert resume(LAST, size, None) == expected


@pytest.mark.parametrize(
    ("known", "size", "expected"),
    [
        (Position(3, 5010), 1010, Resumption(Position(3, 5010), 1010)),
        (Position(3, 5010), 1016, Resumption(Position(3, 5010), 1010, Cause.FOREIGN)),
        (Position(3, 5010), 1004, Resumption(Position(3, 5010), 1004, Cause.TRUNCATED)),
        (Position(3, 5010), 400, Resumption(Position(3, 5010), 1000, Cause.TRUNCATED)),
        (Position(3, 4990), 1000, Resumption(Position(3, 5000), 1000)),
        (Position(2, 9999), 1000, Resumption(Position(3, 5000), 1000)),
        (Position(4, 7), 1000, Resumption(Position(4, 7), 1000, Cause.REPLACED)),
    ],
)
def test_who_had_the_part_open_knows_its_size(known, size, expected):
    """What the file should measure follows from the position reached."""
    assert resume(LAST, size, known) == expected


def test_a_file_that_is_not_ours_is_replaced():
    """The position is what we know, or else what the index says."""
    assert resume(LAST, 77, None, ours=False) == Resumption(Position(3, 5000), 1000, Cause.REPLACED)
    assert resume(LAST, 77, Position(3, 6000), ours=False).position == (3, 6000)


def test_refuting_vouches_for_what_was_right():
    """Up to the first wrong byte."""
    assert refute(LAST, Position(3, 5004)) == Resumption(Position(3, 5004), 1004, Cause.FOREIGN)
    assert refute(LAST, Position(3, 10)) == Resumption(Position(3, 5000), 1000, Cause.FOREIGN)


def test_the_last_block_is_one_the_file_still_has():
    """Behind a cut the blocks before it say nothing."""
    start = Anchor(0, NOWHERE, 0, Cause.START)
    epoch = Anchor(0, Position(1, 0), 0, Cause.EPOCH)
    one, two = Check(10, Position(1, 10), 0, 1), Check(30, Position(1, 30), 0, 2)
    assert last_block([start, epoch, one, two], 30) == (10, two)
    assert last_block([start, epoch, one, two], 29) == (0, one)
    assert last_block([start, epoch, one, Anchor(10, Position(1, 90), 0, Cause.GAP, 80)], 30) == (0, one)
    assert last_block([start, epoch, one, Anchor(5, Position(1, 10), 0, Cause.TRUNCATED)], 5) is None
    assert last_block([start], 0) is None


def told(*records):
    return history_of([Anchor(0, Position(1, 0), 0, Cause.START), *records])


def test_blocks_and_gaps_in_order():
    """As they were written."""
    history = told(
        Check(10, Position(1, 10), 0, 7),
        Anchor(10, Position(1, 25), 0, Cause.GAP, 15),
        Check(12, Position(1, 27), 0, 8),
        Anchor(12, Position(2, 3), 0, Cause.EPOCH, 3),
        Check(20, Position(2, 11), 0, 9),
        Close(20, Position(2, 11), 0),
    )
    assert history.problems == []
    assert history.blocks == [
        Block(0, Position(1, 0), 10, 7),
        Block(10, Position(1, 25), 2, 8),
        Block(12, Position(2, 3), 8, 9),
    ]
    assert history.gaps == [Gap(1, 10, 25, Cause.GAP), Gap(2, 0, 3, Cause.GAP)]
    assert history.closed


def test_a_cut_takes_back_what_was_said():
    """Blocks behind it become one gap, a block amid it keeps its head, which nobody vouches for."""
    history = told(
        Check(10, Position(1, 10), 0, 7),
        Check(20, Position(1, 20), 0, 8),
        Check(30, Position(1, 30), 0, 9),
        Anchor(15, Position(1, 34), 0, Cause.TRUNCATED),
        Check(16, Position(1, 35), 0, 1),
    )
    assert history.problems == []
    assert history.blocks == [
        Block(0, Position(1, 0), 10, 7),
        Block(10, Position(1, 10), 5, None),
        Block(15, Position(1, 34), 1, 1),
    ]
    assert history.gaps == [Gap(1, 15, 34, Cause.TRUNCATED)]


@pytest.mark.parametrize(
    "record",
    [
        Check(10, Position(1, 11), 0, 7),
        Check(10, Position(2, 10), 0, 7),
        Anchor(0, Position(1, 20), 0, Cause.GAP, 19),
        Anchor(1, Position(1, 20), 0, Cause.GAP, 20),
        Anchor(0, Position(0, 5), 0, Cause.EPOCH, 5),
        Anchor(4, Position(1, 1), 0, Cause.FOREIGN),
        Anchor(0, Position(1, 1), 0, Cause.RESUMED),
        Anchor(0, Position(1, 0), 0, Cause.START),
        Close(1, Position(1, 0), 0),
    ],
)
def test_records_that_contradict_each_other_are_a_problem(record):
    """Nothing is made to fit."""
    assert len(told(record).problems) == 1


@given(st.lists(st.tuples(st.sampled_from(["bytes", "cut", "gap", "foreign"]), st.integers(1, 40)), max_size=30))
def test_a_history_is_what_happened_to_the_file(events):
    """The model is the file itself: a list of which stream byte stands at which place."""
    file, offset = [], 0
    records = [Anchor(0, Position(1, 0), 0, Cause.START)]
    lost = 0
    for what, amount in events:
        if what == "bytes":
            file += range(offset, offset + amount)
            offset += amount
            records.append(Check(len(file), Position(1, offset), 0, 0))
        elif what == "gap":
            offset += amount
            lost += amount
            records.append(Anchor(len(file), Position(1, offset), 0, Cause.GAP, amount))
        elif what == "foreign":
            file += [None] * amount
            records.append(Anchor(len(file), Position(1, offset), 0, Cause.FOREIGN))
        else:
            cut = max(len(file) - amount, 0)
            lost += sum(byte is not None for byte in file[cut:])
            del file[cut:]
            records.append(Anchor(cut, Position(1, offset), 0, Cause.TRUNCATED))
    history = history_of(records)
    assert history.problems == []
    told_file = [None] * len(file)
    for block in history.blocks:
        told_file[block.file_offset : block.file_end] = range(block.position.offset, block.end)
    assert told_file == file
    assert history.file_end == len(file)
    assert history.foreign_bytes == file.count(None)
    assert sum(gap.end - gap.start for gap in history.gaps) == lost
