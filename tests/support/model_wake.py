"""Who wakes whom: the reader's sleep over the board (SLEEPING, MIRROR) and the writer's wait for room (WAITING).

The barriers stand on the sleeper's side only. Frames are bare numbers; the ring has room for one of them.
"""

from enum import Enum, auto
from functools import partial

from tests.support.explorer import Barrier, Load, Model, Order, Process, Ring, Steps, Store, Wait

SLOTS = 1
NEVER = 255


class Flaw(Enum):
    NONE = auto()
    MIRROR_BEFORE_COMMIT = auto()
    SLEEP_WITHOUT_BARRIER = auto()
    SLEEPING_AFTER_LOOK = auto()
    WAIT_WITHOUT_BARRIER = auto()
    NO_KICK_AT_ATTACH = auto()
    NO_MIRROR_AT_ATTACH = auto()
    RING_BEFORE_CLEARING = auto()
    READER_CLEARS_WAITING = auto()
    NO_SETTLE_AFTER_LOOKING = auto()


def model(length: int, order: Order, flaw: Flaw = Flaw.NONE) -> Model:
    return Model(
        dict.fromkeys(("COMMIT", "CURSOR", "MIRROR", "SLEEPING", "WAITING"), 0),
        {},
        {
            "writer": Process(partial(_writer, length, flaw)),
            "reader": Process(partial(_reader, length, flaw, settles=order is Order.PSO)),
        },
        lambda memory, _world: None if memory["CURSOR"] == length else f"{memory['CURSOR']} of {length} frames read",
    )


def _writer(length: int, flaw: Flaw) -> Steps:
    commit = yield Load("COMMIT")
    yield Store("WAITING", 0)
    if flaw is not Flaw.NO_MIRROR_AT_ATTACH:
        yield Store("MIRROR", commit)
    if flaw is not Flaw.NO_KICK_AT_ATTACH:
        yield Ring("reader")
    tail = max(0, commit - SLOTS)
    while commit < length:
        if commit - tail == SLOTS:
            tail = yield Load("CURSOR")
        if commit - tail == SLOTS:
            tail = yield from _wait(commit, flaw)
            continue
        commit += 1
        if flaw is Flaw.MIRROR_BEFORE_COMMIT:
            yield Store("MIRROR", commit)
        yield Store("COMMIT", commit)
        if flaw is not Flaw.MIRROR_BEFORE_COMMIT:
            yield Store("MIRROR", commit)
        sleeping = yield Load("SLEEPING")
        if sleeping and flaw is Flaw.RING_BEFORE_CLEARING:
            yield Ring("reader")
            yield Store("SLEEPING", 0)
        elif sleeping:
            yield Store("SLEEPING", 0)
            yield Ring("reader")


def _wait(commit: int, flaw: Flaw) -> Steps:
    yield Store("WAITING", 1)
    if flaw is not Flaw.WAIT_WITHOUT_BARRIER:
        yield Barrier()
    tail = yield Load("CURSOR")
    if commit - tail == SLOTS:
        yield Wait("writer")
    yield Store("WAITING", 0)
    return tail


def _wake_writer(flaw: Flaw) -> Steps:
    waiting = yield Load("WAITING")
    if waiting:
        if flaw is Flaw.READER_CLEARS_WAITING:
            yield Store("WAITING", 0)
        yield Ring("writer")


def _reader(length: int, flaw: Flaw, *, settles: bool) -> Steps:
    cursor = yield Load("CURSOR")
    yield from _wake_writer(flaw)
    settles = settles and flaw is not Flaw.NO_SETTLE_AFTER_LOOKING
    seen = NEVER  # a ring that is new to the watch is work, whatever its mirror says
    looked = yield from _look(settles=settles)
    while True:
        if looked != seen:
            cursor = yield from _read_to_end(cursor, flaw)
            if cursor == length:
                return
            seen = looked
            looked = yield from _look(settles=settles)
            continue
        if flaw is not Flaw.SLEEPING_AFTER_LOOK:
            yield Store("SLEEPING", 1)
        if flaw is not Flaw.SLEEP_WITHOUT_BARRIER:
            yield Barrier()
        looked = yield from _look(settles=settles)
        if flaw is Flaw.SLEEPING_AFTER_LOOK:
            yield Store("SLEEPING", 1)
        if looked == seen:
            yield Wait("reader")
        yield Store("SLEEPING", 0)
        looked = yield from _look(settles=settles)


def _look(*, settles: bool) -> Steps:
    looked = yield Load("MIRROR")
    if settles:
        yield Barrier()
    return looked


def _read_to_end(cursor: int, flaw: Flaw) -> Steps:
    while True:
        commit = yield Load("COMMIT")
        if commit == cursor:
            return cursor
        cursor += 1
        yield Store("CURSOR", cursor)
        yield from _wake_writer(flaw)
