"""Salvage, commit and cursor, step by step, with both sides killed: every byte reaches the log, at its place.

Each frame carries one byte, which is its number in the stream; the ring has room for two. How the two sides wake each
other is the business of another model: here they look until something has changed.
"""

from enum import Enum, auto
from functools import partial

from tests.support.explorer import Act, Barrier, Load, Model, Order, Process, Steps, Store, Watch, World

SLOTS = 2
POISON = 255


class Flaw(Enum):
    NONE = auto()
    DESCRIPTOR_AFTER_COMMIT = auto()
    NO_POISON = auto()
    ARMED_BEFORE_POISON = auto()
    ARMED_AFTER_READ = auto()
    NO_SALVAGE = auto()
    CURSOR_BEFORE_USE = auto()
    NO_SETTLE = auto()
    COMMIT_AMID_BATCH = auto()


def model(length: int, order: Order, flaw: Flaw = Flaw.NONE, *, batches: bool = False) -> Model:
    """`length` bytes are to come from the program to the log; or from the writer itself, in `batches`."""
    writer = _batch_writer if batches else _writer
    cells = [(kind, slot) for kind in ("descriptor", "data") for slot in range(SLOTS)]
    return Model(
        dict.fromkeys(["COMMIT", "CURSOR", "ARMED", *cells], 0),
        {"taken": 0, "logged": 0},
        {
            "writer": Process(partial(writer, length, flaw)),
            "reader": Process(partial(_reader, length, flaw, settles=order is Order.PSO)),
        },
        lambda _memory, world: None if world["logged"] == length else f"{world['logged']} of {length} bytes are logged",
        private=frozenset({"ARMED"}),
    )


def _data(frame: int) -> tuple[str, int]:
    return "data", frame % SLOTS


def _descriptor(frame: int) -> tuple[str, int]:
    return "descriptor", frame % SLOTS


def _next_byte(length: int, world: World) -> int | None:
    if world["taken"] == length:
        return None
    world["taken"] += 1
    return int(world["taken"] - 1)


def _log(offset: int, byte: int, world: World) -> None:
    """The log knows where its bytes belong: what it has already it skips."""
    assert byte == offset, f"byte {byte} came as byte {offset}"
    assert offset <= world["logged"], f"byte {world['logged']} is missing before byte {offset}"
    world["logged"] = max(world["logged"], offset + 1)


def _append(commit: int, offset: int, flaw: Flaw) -> Steps:
    if flaw is not Flaw.DESCRIPTOR_AFTER_COMMIT:
        yield Store(_descriptor(commit), offset)
    yield Store("COMMIT", commit + 1)
    if flaw is Flaw.DESCRIPTOR_AFTER_COMMIT:
        yield Store(_descriptor(commit), offset)


def _writer(length: int, flaw: Flaw) -> Steps:
    commit = yield Load("COMMIT")
    offset = 0
    if commit:
        last = yield Load(_descriptor(commit - 1))
        offset = last + 1
    armed = yield Load("ARMED")
    if armed == commit + 1 and flaw is not Flaw.NO_SALVAGE:
        found = yield Load(_data(commit))
        if found != POISON:
            yield from _append(commit, offset, flaw)
            commit, offset = commit + 1, offset + 1
    tail = max(0, commit - SLOTS)
    while True:
        if commit - tail == SLOTS:
            tail = yield Watch("CURSOR", tail)
        if flaw is Flaw.ARMED_BEFORE_POISON:
            yield Store("ARMED", commit + 1)
        if flaw is not Flaw.NO_POISON:
            yield Store(_data(commit), POISON)
        if flaw not in {Flaw.ARMED_AFTER_READ, Flaw.ARMED_BEFORE_POISON}:
            yield Store("ARMED", commit + 1)
        byte = yield Act(partial(_next_byte, length), into=_data(commit))
        if byte is None:
            return
        if flaw is Flaw.ARMED_AFTER_READ:
            yield Store("ARMED", commit + 1)
        yield from _append(commit, offset, flaw)
        commit, offset = commit + 1, offset + 1


def _batch_writer(length: int, flaw: Flaw) -> Steps:
    """As many frames as there are slots, with one COMMIT; a killed one's successor has them all to write again."""
    commit = yield Load("COMMIT")
    while commit < length:
        end = min(commit + SLOTS, length)
        cursor = yield Load("CURSOR")
        while cursor < end - SLOTS:
            cursor = yield Watch("CURSOR", cursor)
        at = commit
        while at < end:
            yield Store(_data(at), at)
            at += 1
        at = commit
        while at < end:
            if flaw is Flaw.COMMIT_AMID_BATCH and at == end - 1:
                yield Store("COMMIT", end)
            yield Store(_descriptor(at), at)
            at += 1
        yield Store("COMMIT", end)
        commit = end


def _reader(length: int, flaw: Flaw, *, settles: bool) -> Steps:
    cursor = yield Load("CURSOR")
    while cursor < length:
        yield Watch("COMMIT", cursor)
        if settles and flaw is not Flaw.NO_SETTLE:
            yield Barrier()
        if flaw is Flaw.CURSOR_BEFORE_USE:
            yield Store("CURSOR", cursor + 1)
        offset = yield Load(_descriptor(cursor))
        byte = yield Load(_data(cursor))
        yield Act(partial(_log, offset, byte))
        cursor += 1
        if flaw is not Flaw.CURSOR_BEFORE_USE:
            yield Store("CURSOR", cursor)
