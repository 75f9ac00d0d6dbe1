"""A full ring of two frames that drops its oldest: OLDEST, barrier and pins against a reader that works in place, and
against a follower that copies and looks again.

Frames carry growing numbers; where a pinned frame leaves no room, a number is dropped and stated in the tally. What
each frame holds is written down outside of memory, for comparison.
"""

from enum import Enum, auto
from functools import partial

from tests.support.explorer import Act, Barrier, Load, Model, Order, Process, Steps, Store, Watch, World

SLOTS = 2
POISON = 255


class Flaw(Enum):
    NONE = auto()
    NO_BARRIER = auto()
    OLDEST_AFTER_OVERWRITE = auto()
    PINS_IGNORED = auto()
    CHECK_BEFORE_PIN = auto()
    ATTACH_WITHOUT_BARRIER = auto()
    UNSEEN_READER_PINS_WITHOUT_BARRIER = auto()
    LATE_PIN_BELIEVED_AT_ATTACH = auto()
    NO_CHECK_AFTER_COPY = auto()
    NO_SETTLE = auto()


class Who(Enum):
    KNOWN_READER = auto()
    NEW_READER = auto()  # its slot was free: the writer may not have seen it come
    FOLLOWER = auto()


def model(length: int, order: Order, who: Who, flaw: Flaw = Flaw.NONE) -> Model:
    weak = order is Order.PSO
    memory = dict.fromkeys(("COMMIT", "OLDEST", "CURSOR", "PIN", "STATE", "STAMP", "SEEN", "TALLY"), 0)
    memory |= {("data", 0): 0, ("data", 1): 1, "COMMIT": 2}
    memory["STATE"] = int(who is Who.KNOWN_READER)
    reader = partial(_follower, flaw, weak) if who is Who.FOLLOWER else partial(_reader, flaw, weak)
    return Model(
        memory,
        {"written": (0, 1), "last": -1, "clock": 0},
        {
            "writer": Process(partial(_writer, length, flaw, weak)),
            "reader": Process(reader, may_wait=True, mortal=who is not Who.FOLLOWER),
        },
        _verdict,
        private=frozenset({"TALLY"}),
    )


def _verdict(memory: dict[object, int], world: World) -> str | None:
    if memory["OLDEST"] == memory["COMMIT"]:
        return None
    newest = world["written"][memory["COMMIT"] - 1]
    return None if world["last"] == newest else f"the newest frame is {newest}, the reader has seen {world['last']}"


def _data(frame: int) -> tuple[str, int]:
    return "data", frame % SLOTS


def _write_down(frame: int, number: int, world: World) -> None:
    world["written"] = (*world["written"][:frame], number)


def _take(frame: int, number: int, world: World) -> None:
    assert number == world["written"][frame], f"frame {frame} gave {number}, it held {world['written'][frame]}"
    world["last"] = max(world["last"], number)


def _tick(world: World) -> int:
    world["clock"] += 1
    return int(world["clock"])


def _writer(length: int, flaw: Flaw, weak: bool) -> Steps:  # noqa: FBT001 - is memory weakly ordered?
    commit = yield Load("COMMIT")
    oldest = yield Load("OLDEST")
    number = yield Load("TALLY")
    if commit:
        last = yield Load(_data(commit - 1))
        number = max(number, last + 1)
    stamp = yield Load("STAMP")
    yield Store("SEEN", stamp)
    if flaw is not Flaw.ATTACH_WITHOUT_BARRIER:
        yield Barrier()
    pin = yield Load("PIN")
    tail = oldest
    if pin and (commit - (pin - 1) <= SLOTS or flaw is Flaw.LATE_PIN_BELIEVED_AT_ATTACH):
        tail = min(oldest, pin - 1)
    assert commit - tail <= SLOTS, "the ring is called corrupt"
    while number < length:
        target = commit - SLOTS + 1
        if commit - tail == SLOTS:
            tail = yield from _reclaim(tail, commit, target, flaw, weak)
        if commit - tail == SLOTS:
            number += 1
            yield Store("TALLY", number)
            continue
        yield Store(_data(commit), POISON)
        yield Act(partial(_write_down, commit, number))
        yield Store(_data(commit), number)
        commit, number = commit + 1, number + 1
        if flaw is Flaw.OLDEST_AFTER_OVERWRITE and target > 0:
            yield Store("OLDEST", target)
        yield Store("COMMIT", commit)


def _reclaim(tail: int, commit: int, target: int, flaw: Flaw, weak: bool) -> Steps:  # noqa: FBT001 - as above
    slowest = commit
    stamp = yield Load("STAMP")
    state = yield Load("STATE")
    if state:
        slowest = yield Load("CURSOR")
    yield Store("SEEN", stamp)
    if flaw is not Flaw.OLDEST_AFTER_OVERWRITE:
        yield Store("OLDEST", target)
    if (slowest < target or weak) and flaw is not Flaw.NO_BARRIER:
        yield Barrier()
    pin = yield Load("PIN")
    if pin - 1 >= tail and flaw is not Flaw.PINS_IGNORED:
        target = min(target, pin - 1)
    return target


def _reader(flaw: Flaw, weak: bool) -> Steps:  # noqa: FBT001 - as above
    known = yield Load("STATE")
    cursor = yield Load("CURSOR" if known else "OLDEST")
    yield Store("PIN", 0)
    yield Store("CURSOR", cursor)
    yield Store("STATE", 1)
    stamp = yield Act(_tick)
    yield Store("STAMP", stamp)
    while True:
        commit = yield Watch("COMMIT", cursor)
        first = yield from _pin(cursor, flaw)
        commit = yield Load("COMMIT")
        if weak and flaw is not Flaw.NO_SETTLE:
            yield Barrier()
        cursor = first
        if cursor >= commit:
            yield Store("PIN", 0)
            while cursor > commit:
                commit = yield Watch("COMMIT", commit)
            continue
        number = yield Load(_data(cursor))
        yield Act(partial(_take, cursor, number))
        again = yield Load(_data(cursor))
        assert again == number, "overwritten while it was in use"
        cursor += 1
        yield Store("CURSOR", cursor)
        yield Store("PIN", 0)


def _pin(cursor: int, flaw: Flaw) -> Steps:
    while True:
        if flaw is Flaw.CHECK_BEFORE_PIN:
            oldest = yield Load("OLDEST")
        yield Store("PIN", cursor + 1)
        seen = yield Load("SEEN")
        stamp = yield Load("STAMP")
        if seen != stamp and flaw is not Flaw.UNSEEN_READER_PINS_WITHOUT_BARRIER:
            yield Barrier()
        if flaw is not Flaw.CHECK_BEFORE_PIN:
            oldest = yield Load("OLDEST")
        if oldest <= cursor:
            return cursor
        cursor = oldest


def _follower(flaw: Flaw, weak: bool) -> Steps:  # noqa: FBT001 - as above
    settles = weak and flaw is not Flaw.NO_SETTLE
    cursor = commit = 0
    while True:
        if cursor >= commit:
            commit = yield Watch("COMMIT", commit)
            continue
        if settles:
            yield Barrier()
        oldest = yield Load("OLDEST")
        if oldest <= cursor:
            number = yield Load(_data(cursor))
            if settles:
                yield Barrier()
            if flaw is not Flaw.NO_CHECK_AFTER_COPY:
                oldest = yield Load("OLDEST")
        if oldest > cursor:
            cursor = oldest
            continue
        yield Act(partial(_take, cursor, number))
        cursor += 1
