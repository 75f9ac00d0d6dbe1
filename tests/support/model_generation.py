"""A full ring that grows from one frame to two, by a second file, while both sides are killed: nothing is lost,
everybody finds the way, and nobody sleeps through what is written into the new one.

A frame holds its own number. Memory is indexed by generation; the world knows what stands under the ring's name and
whether there is a next file beside it. The log is a reader whose slot was taken from the start, or one that comes.
"""

from enum import Enum, auto
from functools import partial

from tests.support.explorer import Act, Barrier, Load, Model, Order, Process, Ring, Steps, Store, Wait, Watch, World

SLOTS = (1, 2)
NEVER = 255


class Flaw(Enum):
    NONE = auto()
    NEXT_BEFORE_COMPLETE = auto()
    NAME_BEFORE_NEXT = auto()
    NEXT_IGNORED_AT_ATTACH = auto()
    READERS_NOT_CARRIED_OVER = auto()
    CARRIED_WITHOUT_BARRIER = auto()
    NOT_CARRIED_AT_ATTACH = auto()
    READER_WAITS_FOR_NAME = auto()
    OLD_CURSOR_TAKEN_ALONG = auto()
    KICKED_BEFORE_MIRROR = auto()
    NO_SETTLE = auto()


def model(length: int, order: Order, *, known: bool, flaw: Flaw = Flaw.NONE) -> Model:
    memory: dict[object, int] = {"MIRROR": 0, "SLEEPING": 0}
    memory |= {(g, word): 0 for g in (0, 1) for word in ("COMMIT", "NEXT", "CURSOR", "STATE", "MAGIC")}
    memory |= {(g, "data", slot): NEVER for g in (0, 1) for slot in range(SLOTS[g])}
    memory |= {(0, "STATE"): int(known), (0, "MAGIC"): 1, (0, "COMMIT"): 1, (0, "data", 0): 0, "MIRROR": 1}
    return Model(
        memory,
        {"named": 0, "beside": False, "logged": 0},
        {
            "writer": Process(partial(_writer, length, flaw)),
            "reader": Process(partial(_reader, length, flaw, settles=order is Order.PSO)),
        },
        lambda _memory, world: None if world["logged"] == length else f"{world['logged']} of {length} are logged",
        private=frozenset({(0, "MAGIC")}),
    )


def _named(world: World) -> int:
    return int(world["named"])


def _make_beside(world: World) -> None:
    world["beside"] = True


def _rename(world: World) -> None:
    world["named"], world["beside"] = 1, False


def _following(world: World) -> int:
    """What stands under the name if it is newer, else what stands beside it."""
    return int(world["named"] == 1 or world["beside"])


def _log(number: int, expected: int, world: World) -> None:
    assert number == expected, f"frame {expected} held {number}"
    assert number <= world["logged"], f"frame {world['logged']} is missing"
    world["logged"] = max(world["logged"], number + 1)


def _writer(length: int, flaw: Flaw) -> Steps:
    g = yield Act(_named)
    following = yield Load((g, "NEXT"))
    if following and flaw is not Flaw.NEXT_IGNORED_AT_ATTACH:
        if flaw is not Flaw.NOT_CARRIED_AT_ATTACH:
            yield from _carry_readers(flaw)
        yield Act(_rename)
        g = 1
    commit = yield Load((g, "COMMIT"))
    if flaw is Flaw.KICKED_BEFORE_MIRROR:
        state = yield Load((g, "STATE"))
    yield Store("MIRROR", commit)
    if flaw is not Flaw.KICKED_BEFORE_MIRROR:
        state = yield Load((g, "STATE"))
    if state:
        yield Ring("reader")
    tail = max(0, commit - SLOTS[g])
    while commit < length:
        if commit - tail == SLOTS[g]:
            tail = yield Load((g, "CURSOR"))
        if commit - tail == SLOTS[g] and g == 0:
            yield from _grow(commit, flaw)
            g = 1
        elif commit - tail == SLOTS[g]:
            tail = yield Watch((g, "CURSOR"), tail)
        yield Store((g, "data", commit % SLOTS[g]), commit)
        commit += 1
        yield Store((g, "COMMIT"), commit)
        yield Store("MIRROR", commit)
        state = yield Load((g, "STATE"))
        if state:
            yield from _wake()


def _wake() -> Steps:
    sleeping = yield Load("SLEEPING")
    if sleeping:
        yield Store("SLEEPING", 0)
        yield Ring("reader")


def _grow(commit: int, flaw: Flaw) -> Steps:
    yield Act(_make_beside)
    yield Store((1, "MAGIC"), 0)
    if flaw is Flaw.NEXT_BEFORE_COMPLETE:
        yield Store((0, "NEXT"), 1)
    state = yield Load((0, "STATE"))
    cursor = yield Load((0, "CURSOR"))
    yield Store((1, "STATE"), state)
    yield Store((1, "CURSOR"), cursor)
    number = yield Load((0, "data", 0))
    yield Store((1, "data", (commit - 1) % 2), number)
    yield Store((1, "COMMIT"), commit)
    yield Store((1, "MAGIC"), 1)
    if flaw is Flaw.NAME_BEFORE_NEXT:
        yield Act(_rename)
    yield Store((0, "NEXT"), 1)
    yield from _carry_readers(flaw)
    yield Act(_rename)


def _carry_readers(flaw: Flaw) -> Steps:
    """Whoever came between the copy and NEXT is in the old file only, and looks at NEXT after that."""
    if flaw is Flaw.READERS_NOT_CARRIED_OVER:
        return
    if flaw is not Flaw.CARRIED_WITHOUT_BARRIER:
        yield Barrier()
    there = yield Load((1, "STATE"))
    state = yield Load((0, "STATE"))
    if state and not there:
        cursor = yield Load((0, "CURSOR"))
        yield Store((1, "CURSOR"), cursor)
        yield Store((1, "STATE"), state)


def _attach(g: int, cursor: int, flaw: Flaw) -> Steps:
    """Whoever had this slot before may have come further in the new file than the old one says."""
    state = yield Load((g, "STATE"))
    if state and flaw is not Flaw.OLD_CURSOR_TAKEN_ALONG:
        finished = yield Load((g, "CURSOR"))
        cursor = max(cursor, finished)
    yield Store((g, "CURSOR"), cursor)
    yield Store((g, "STATE"), 1)
    return cursor


def _reader(length: int, flaw: Flaw, *, settles: bool) -> Steps:
    settles = settles and flaw is not Flaw.NO_SETTLE
    g = yield Act(_named)
    cursor = yield from _attach(g, 0, Flaw.NONE)
    seen = NEVER
    looked = yield from _look(settles=settles)
    moving = False
    while True:
        if looked != seen and not moving:
            g, cursor, moving = yield from _read_to_end(length, g, cursor, flaw, settles=settles)
            if cursor == length:
                return
            if not moving:
                seen = looked
            looked = yield from _look(settles=settles)
            continue
        yield Store("SLEEPING", 1)
        yield Barrier()
        looked = yield from _look(settles=settles)
        if looked == seen or moving:
            yield Wait("reader")
            moving = False
        yield Store("SLEEPING", 0)
        looked = yield from _look(settles=settles)


def _look(*, settles: bool) -> Steps:
    looked = yield Load("MIRROR")
    if settles:
        yield Barrier()
    return looked


def _read_to_end(length: int, g: int, cursor: int, flaw: Flaw, *, settles: bool) -> Steps:
    while cursor < length:
        following = yield Load((g, "NEXT"))
        if following:
            found = yield Act(_named if flaw is Flaw.READER_WAITS_FOR_NAME else _following)
            if found == g:
                return g, cursor, True
            if settles:
                yield Barrier()
            magic = yield Load((found, "MAGIC"))
            assert magic, "the next generation is not complete"
            g = found
            cursor = yield from _attach(g, cursor, flaw)
        commit = yield Load((g, "COMMIT"))
        if commit == cursor:
            return g, cursor, False
        if settles:
            yield Barrier()
        number = yield Load((g, "data", cursor % SLOTS[g]))
        yield Act(partial(_log, number, cursor))
        cursor += 1
        yield Store((g, "CURSOR"), cursor)
    return g, cursor, False
