"""The ring's protocols in every interleaving of small models, with processes killed between any two steps.

Each model is explored as it is, under sequential consistency and under the store orders of x86-64 and of AArch64,
and must hold; then with one step left out or out of place, and must break. A protocol whose mutilation nobody notices
would prove nothing. Each is explored with as many kills as one of its mutilations needs to be found; with
RINGVISOR_LONG=1 two kills everywhere: some minutes.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support import model_drop, model_generation, model_stream, model_wake
from tests.support.explorer import Act, Load, Model, Order, Process, Steps, Store, Wait, World, explore
from tests.support.model_drop import Who

LONG = bool(os.environ.get("RINGVISOR_LONG"))
SC, TSO, PSO = Order.SC, Order.TSO, Order.PSO


@contextmanager
def untraced() -> Iterator[None]:
    """Coverage looks at each call, though nothing that it measures runs here: more than half of the time."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


def assert_holds(model: Model, order: Order, kills: int) -> None:
    with untraced():
        found = explore(model, order, kills=2 if LONG else kills)
    assert found.violation is None, "\n".join((found.violation, *found.trace))
    print(f"{found.states} states")


def assert_breaks(model: Model, order: Order, kills: int, what: str) -> None:
    with untraced():
        found = explore(model, order, kills=kills)
    assert found.violation is not None, f"nothing wrong in {found.states} states"
    assert what in found.violation


@pytest.mark.parametrize(("order", "kills"), [(SC, 2), (TSO, 2), (PSO, 1)])
def test_every_byte_reaches_the_log_at_its_place(order: Order, kills: int) -> None:
    """Poison, ARMED, kernel read, descriptor, COMMIT, cursor: whoever is killed where, salvage balances it."""
    assert_holds(model_stream.model(3, order), order, kills)


@pytest.mark.parametrize("order", [SC, TSO, PSO])
def test_a_batch_exists_as_a_whole(order: Order) -> None:
    """All its bytes and descriptors, then one COMMIT: whoever is killed where, no frame comes half or twice."""
    assert_holds(model_stream.model(4, order, batches=True), order, 1)


def test_a_batch_committed_too_early_is_caught() -> None:
    flawed = model_stream.model(4, SC, model_stream.Flaw.COMMIT_AMID_BATCH, batches=True)
    assert_breaks(flawed, SC, 0, "came as")


@pytest.mark.parametrize(
    ("flaw", "order", "kills", "what"),
    [
        (model_stream.Flaw.DESCRIPTOR_AFTER_COMMIT, SC, 0, "came as"),
        (model_stream.Flaw.NO_POISON, SC, 1, "came as"),
        (model_stream.Flaw.ARMED_BEFORE_POISON, SC, 1, "came as"),
        (model_stream.Flaw.ARMED_AFTER_READ, SC, 1, "came as"),
        (model_stream.Flaw.NO_SALVAGE, SC, 1, "came as"),
        (model_stream.Flaw.CURSOR_BEFORE_USE, SC, 0, "came as"),
        (model_stream.Flaw.NO_SETTLE, PSO, 0, "came as"),
    ],
)
def test_a_stream_with_a_flaw_is_caught(flaw: model_stream.Flaw, order: Order, kills: int, what: str) -> None:
    assert_breaks(model_stream.model(3, order, flaw), order, kills, what)


@pytest.mark.parametrize(("order", "kills"), [(SC, 2), (TSO, 1), (PSO, 1)])
def test_no_wake_up_is_lost(order: Order, kills: int) -> None:
    """Barriers on the sleepers' sides only, a kick at each attach: neither side sleeps while there is work for it."""
    assert_holds(model_wake.model(2, order), order, kills)


@pytest.mark.parametrize(
    ("flaw", "order", "kills"),
    [
        (model_wake.Flaw.MIRROR_BEFORE_COMMIT, SC, 0),
        (model_wake.Flaw.SLEEP_WITHOUT_BARRIER, TSO, 0),
        (model_wake.Flaw.SLEEPING_AFTER_LOOK, SC, 0),
        (model_wake.Flaw.WAIT_WITHOUT_BARRIER, TSO, 0),
        (model_wake.Flaw.NO_KICK_AT_ATTACH, SC, 1),
        (model_wake.Flaw.NO_MIRROR_AT_ATTACH, SC, 1),
        (model_wake.Flaw.RING_BEFORE_CLEARING, SC, 0),
        (model_wake.Flaw.READER_CLEARS_WAITING, SC, 1),
        (model_wake.Flaw.NO_SETTLE_AFTER_LOOKING, PSO, 0),
    ],
)
def test_a_wake_up_with_a_flaw_is_lost(flaw: model_wake.Flaw, order: Order, kills: int) -> None:
    assert_breaks(model_wake.model(2, order, flaw), order, kills, "asleep for ever")


@pytest.mark.parametrize(
    ("who", "order", "kills"),
    [
        *[(who, order, kills) for who in Who for order, kills in [(SC, 1), (PSO, 0)]],
        (Who.KNOWN_READER, TSO, 1),
        (Who.NEW_READER, TSO, 0),
        (Who.FOLLOWER, TSO, 0),
    ],
)
def test_nobody_uses_what_was_overwritten(order: Order, kills: int, who: Who) -> None:
    """A ring that drops its oldest: pinned frames stay whole, copies of others are noticed, and the newest arrives."""
    assert_holds(model_drop.model(3, order, who), order, kills)


@pytest.mark.parametrize(
    ("flaw", "who", "order", "kills", "length", "what"),
    [
        (model_drop.Flaw.NO_BARRIER, Who.KNOWN_READER, TSO, 0, 3, "gave"),
        (model_drop.Flaw.OLDEST_AFTER_OVERWRITE, Who.KNOWN_READER, SC, 0, 3, "gave"),
        (model_drop.Flaw.PINS_IGNORED, Who.KNOWN_READER, SC, 0, 3, "gave"),
        (model_drop.Flaw.CHECK_BEFORE_PIN, Who.KNOWN_READER, SC, 0, 3, "gave"),
        (model_drop.Flaw.ATTACH_WITHOUT_BARRIER, Who.KNOWN_READER, TSO, 1, 3, "gave"),
        (model_drop.Flaw.UNSEEN_READER_PINS_WITHOUT_BARRIER, Who.NEW_READER, TSO, 0, 3, "gave"),
        (model_drop.Flaw.LATE_PIN_BELIEVED_AT_ATTACH, Who.KNOWN_READER, SC, 1, 4, "corrupt"),
        (model_drop.Flaw.NO_CHECK_AFTER_COPY, Who.FOLLOWER, SC, 0, 3, "gave"),
        (model_drop.Flaw.NO_SETTLE, Who.KNOWN_READER, PSO, 0, 3, "gave"),
        (model_drop.Flaw.NO_SETTLE, Who.FOLLOWER, PSO, 0, 3, "gave"),
    ],
)
def test_an_overwrite_with_a_flaw_is_caught(
    flaw: model_drop.Flaw, who: Who, order: Order, kills: int, length: int, what: str
) -> None:
    assert_breaks(model_drop.model(length, order, who, flaw), order, kills, what)


@pytest.mark.parametrize("known", [True, False], ids=["known reader", "new reader"])
@pytest.mark.parametrize(("order", "kills"), [(SC, 1), (TSO, 0), (PSO, 0)])
def test_everybody_finds_the_next_generation(order: Order, kills: int, known: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A ring grows while its reader reads, sleeps, comes: nothing is lost on the way, and nobody sleeps through it."""
    assert_holds(model_generation.model(2, order, known=known), order, kills)


@pytest.mark.parametrize(
    ("flaw", "known", "order", "kills", "length", "what"),
    [
        (model_generation.Flaw.NEXT_BEFORE_COMPLETE, True, SC, 0, 2, "not complete"),
        (model_generation.Flaw.NAME_BEFORE_NEXT, True, SC, 1, 2, "asleep"),
        (model_generation.Flaw.NEXT_IGNORED_AT_ATTACH, True, SC, 1, 2, "not complete"),
        (model_generation.Flaw.READERS_NOT_CARRIED_OVER, False, SC, 0, 2, "asleep"),
        (model_generation.Flaw.CARRIED_WITHOUT_BARRIER, False, TSO, 0, 2, "asleep"),
        (model_generation.Flaw.NOT_CARRIED_AT_ATTACH, False, SC, 1, 2, "asleep"),
        (model_generation.Flaw.READER_WAITS_FOR_NAME, True, SC, 0, 2, "asleep"),
        (model_generation.Flaw.OLD_CURSOR_TAKEN_ALONG, True, SC, 1, 3, "held"),
        (model_generation.Flaw.KICKED_BEFORE_MIRROR, False, TSO, 1, 2, "asleep"),
        (model_generation.Flaw.NO_SETTLE, True, PSO, 0, 2, "held"),
    ],
)
def test_a_growth_with_a_flaw_is_caught(
    flaw: model_generation.Flaw,
    known: bool,  # noqa: FBT001 - a parameter of the test
    order: Order,
    kills: int,
    length: int,
    what: str,
) -> None:
    assert_breaks(model_generation.model(length, order, known=known, flaw=flaw), order, kills, what)


# --- the explorer itself ---


def both_stay_outside(order: Order) -> bool:
    """Store buffering: each of two processes stores its flag, then looks at the other's."""

    def side(mine: str, others: str) -> Steps:
        yield Store(mine, 1)
        seen = yield Load(others)
        yield Act(lambda world: world.update({mine: seen}))

    model = Model(
        {"a": 0, "b": 0},
        {"a": 1, "b": 1},
        {"one": Process(lambda: side("a", "b")), "other": Process(lambda: side("b", "a"))},
        lambda _memory, world: "neither saw the other" if world == {"a": 0, "b": 0} else None,
    )
    return explore(model, order).violation is not None


def stores_change_places(order: Order) -> bool:
    """Message passing: the flag is seen, what was stored before it is not."""

    def writer() -> Steps:
        yield Store("payload", 1)
        yield Store("flag", 1)

    def reader() -> Steps:
        flag = yield Load("flag")
        payload = yield Load("payload")
        assert payload or not flag, "flag without payload"

    model = Model(
        {"payload": 0, "flag": 0}, {}, {"writer": Process(writer), "reader": Process(reader)}, lambda *_: None
    )
    return explore(model, order).violation is not None


def test_store_buffers_are_as_weak_as_they_are_said_to_be() -> None:
    """The two litmus tests that tell the three orders apart."""
    assert [both_stay_outside(order) for order in (SC, TSO, PSO)] == [False, True, True]
    assert [stores_change_places(order) for order in (SC, TSO, PSO)] == [False, False, True]


def test_a_killed_process_starts_again_and_knows_nothing() -> None:
    """What it had stored is there, what it had in its hands is not; and sleep without a bell is found."""

    def counting() -> Steps:
        count = yield Load("count")
        yield Store("count", count + 1)
        yield Act(_count_up)

    def _count_up(world: World) -> None:
        world["runs"] += 1

    model = Model(
        {"count": 0},
        {"runs": 0},
        {"one": Process(counting)},
        lambda memory, world: "counted twice" if (memory["count"], world["runs"]) == (2, 1) else None,
    )
    assert explore(model, TSO).violation is None
    assert explore(model, TSO, kills=1).violation == "counted twice"

    def sleeping() -> Steps:
        yield Wait("bell")

    asleep = Model({"w": 0}, {}, {"one": Process(sleeping)}, lambda *_: None)
    assert explore(asleep, SC).violation == "asleep for ever: one"
