"""The journal: what is written comes back, what is damaged costs what was hit, what is old is bounded."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from supervisor.lifecycle.events import (
    DeadlinePassed,
    OutputEnded,
    ProgramExited,
    ProgramStarted,
    Removed,
    StartRequested,
    StopRequested,
)
from supervisor.lifecycle.frames import MARK, MAX_PAYLOAD_BYTES, Skipped, framed, unframed
from supervisor.lifecycle.journal import Checkpoint, Decision, Journal, Opening, decode_records, encode_record
from supervisor.lifecycle.lifecycle import step
from supervisor.lifecycle.reasons import Exited
from supervisor.lifecycle.replay import recover, replay
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import SessionState
from tests.supervisor.lifecycle_world import ACTIONS, played, sessions_seen

OPENING = Opening(1.0, 2.0, "boot-1")


def decided(session: Session, *events, at_s: float = 100.0) -> list[Decision]:
    found = []
    for event in events:
        session, effects = step(session, event, at_s)
        found.append(Decision(1e9 + at_s, at_s, event, session, effects))
    return found


def crashing(name: str = "web") -> list[Decision]:
    events = (StartRequested(), ProgramStarted(1, 7, 100), ProgramExited(1, Exited(3), 100, 1), OutputEnded(1))
    return decided(Session(name), *events)


def written(decisions: list[Decision], *, journal: Journal | None = None) -> bytes:
    journal = journal or Journal()
    names = {decision.name for decision in decisions}
    return journal.opening(OPENING, map(Session, sorted(names))) + b"".join(map(journal.decided, decisions))


def test_records_come_back_as_they_were():
    """All three kinds, effects and sessions and all."""
    records = (OPENING, Checkpoint(1.0, 2.0, Session("web")), *crashing())
    assert decode_records(b"".join(map(encode_record, records))).records == records


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.floats(0, 1)), max_size=40))
def test_every_decision_can_be_written(actions):
    """Whatever event, session or effect came up."""
    world = played(actions)
    back = [record for record in decode_records(world.bytes).records if isinstance(record, Decision)]
    assert [decision.after for decision in back] == list(sessions_seen(world))


def test_a_torn_end_is_stated_and_costs_one_record():
    """Wherever the writer was killed."""
    whole = b"".join(map(encode_record, crashing()))
    last = len(encode_record(crashing()[-1]))
    for cut in range(1, last):
        decoded = decode_records(whole[:-cut])
        assert len(decoded.records) == 3
        assert decoded.skipped == (Skipped(len(whole) - last, last - cut),)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_damage_anywhere_costs_what_it_hit(seed):
    """One flipped byte: one record is gone, the others are whole, and where it was is stated."""
    dice = random.Random(seed)
    frames = [encode_record(record) for record in crashing()]
    data = bytearray(b"".join(frames))
    at = dice.randrange(len(data))
    data[at] ^= dice.randrange(1, 256)
    decoded = decode_records(bytes(data))
    hit = next(i for i in range(len(frames)) if at < sum(map(len, frames[: i + 1])))
    assert decoded.records == tuple(record for i, record in enumerate(crashing()) if i != hit)
    assert decoded.skipped == (Skipped(sum(map(len, frames[:hit])), len(frames[hit])),)


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data):
    """What is no record is skipped, and all of it is accounted for."""
    pieces = list(unframed(data))
    covered = sum(piece.length if isinstance(piece, Skipped) else len(piece) + 12 for piece in pieces)
    assert covered == len(data)


def test_a_mark_within_a_payload_is_no_frame():
    """Nor is one whose frame would be cut short."""
    payloads = [MARK, framed(b"inner"), b"x" + MARK * 3]
    assert list(unframed(b"".join(map(framed, payloads)))) == payloads


def test_a_record_too_large_is_refused_when_it_is_written():
    """Not when somebody needs it."""
    framed(b"x" * MAX_PAYLOAD_BYTES)
    with pytest.raises(ValueError, match="1048576 is the most"):
        framed(b"x" * (MAX_PAYLOAD_BYTES + 1))


def test_a_record_of_another_version_is_counted_and_skipped():
    """The rest counts."""
    decoded = decode_records(framed(b"\x81\xa6record\xa8Unheard!") + encode_record(OPENING))
    assert (decoded.records, decoded.unreadable) == ((OPENING,), 1)


def test_recovery_is_the_last_word_on_each_session():
    """Of several, in the order of the file."""
    web, db = crashing("web"), crashing("db")[:2]
    recovered = recover(decode_records(written([*web, *db])).records)
    assert recovered.boot_id == "boot-1"
    assert recovered.sessions == {"web": web[-1].after, "db": db[-1].after}
    assert recovered.decisions == {"web": web, "db": db}


def test_a_forgotten_session_stays_forgotten():
    """Nothing is left of it in what comes back, nor in the next part."""
    decisions = [*crashing(), *decided(crashing()[-1].after, Removed())]
    journal = Journal()
    recovered = recover(decode_records(written(decisions, journal=journal)).records)
    assert (recovered.sessions, recovered.decisions) == ({}, {})
    assert journal.recent("web") == ()


def test_a_part_is_full_after_its_bytes_and_the_next_one_says_all():
    """However much was decided: the opening has each session and its last few decisions."""
    journal = Journal(part_bytes=20_000, remembered=5)
    journal.opening(OPENING, [Session("web")])
    decisions, session, parts = [], Session("web"), 0
    for _ in range(60):
        cycle = decided(session, StartRequested(), StopRequested())
        epoch = cycle[-1].after.epoch
        cycle += decided(
            cycle[-1].after,
            ProgramStarted(epoch, 7, 100),
            ProgramExited(epoch, Exited(0), 100, epoch),
            OutputEnded(epoch),
        )
        session = cycle[-1].after
        for decision in cycle:
            journal.decided(decision)
            decisions.append(decision)
        if journal.is_full:
            parts += 1
            records = decode_records(journal.opening(OPENING, [session])).records
            assert records == (OPENING, *decisions[-5:], Checkpoint(OPENING.wall_s, OPENING.now_s, session))
            assert not journal.is_full
    assert parts > 2


def test_what_is_added_counts_towards_the_part():
    """Sessions that come and go fill it too."""
    journal = Journal(part_bytes=10)
    journal.opening(OPENING, [])
    journal.added(Checkpoint(1.0, 2.0, Session("web")))
    assert journal.is_full


def test_recovery_reads_over_an_old_part_and_a_new_one():
    """Decisions that the new part repeats are there once; a checkpoint that is lost costs nothing that is older."""
    web = crashing()
    journal = Journal()
    old = written(web[:3], journal=journal)
    new = journal.opening(OPENING, [web[2].after]) + journal.decided(web[3])
    recovered = recover([*decode_records(old).records, *decode_records(new).records])
    assert recovered.decisions == {"web": web}
    assert recovered.sessions == {"web": web[-1].after}
    damaged = [record for record in decode_records(new).records if not isinstance(record, Checkpoint | Decision)]
    assert recover([*decode_records(old).records, *damaged]).sessions == {"web": web[2].after}


def test_a_supervisor_that_comes_back_remembers_for_explain():
    """What its predecessor wrote is in the next part too."""
    recovered = recover(decode_records(written(crashing())).records)
    journal = Journal()
    journal.remember(recovered.decisions)
    assert list(journal.recent("web")) == crashing()


def test_replay_takes_the_same_decisions_also_over_parts():
    """What an opening repeats is judged again from the decision before it, never from a later one."""
    web = crashing()
    journal = Journal()
    data = written(web, journal=journal) + journal.opening(OPENING, [web[-1].after])
    due_s = web[-1].after.deadline.at_s
    data += journal.decided(decided(web[-1].after, DeadlinePassed(), at_s=due_s)[0])
    again = list(replay(decode_records(data).records))
    assert all(replayed.is_same for replayed in again)
    assert len(again) == 4 + 3 + 1


def test_replay_shows_a_decision_that_would_be_taken_otherwise():
    """Another session, other effects, or a refusal: that one, and not those after it."""
    web = crashing()
    start_with = (Checkpoint(0.0, 0.0, Session("web")),)
    other_state = structs.replace(web[1], after=structs.replace(web[1].after, state=SessionState.RUNNING))
    other_effects = structs.replace(web[0], effects=())
    refused = structs.replace(web[1], event=StartRequested())
    for changed, at in ((other_effects, 0), (refused, 1)):
        records = [changed if i == at else decision for i, decision in enumerate(web)]
        assert [r.is_same for r in replay((*start_with, *records))] == [i != at for i in range(4)]
    records = [web[0], other_state, *web[2:]]
    assert [r.is_same for r in replay((*start_with, *records))][:2] == [True, False]


def test_parts_follow_one_another_without_a_gap():
    """Each decision begins where the one before it ended."""
    for before, after in pairwise(replay([Checkpoint(0.0, 0.0, Session("web")), *crashing()])):
        assert before.after == after.before
