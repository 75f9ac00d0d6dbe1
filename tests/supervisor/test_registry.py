"""All sessions: what a new config means for each, whose deadline is next, whom a command means."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from config.diff import diff
from config.model import Fleet, SessionSpec
from config.policies import RestartPolicy
from supervisor.lifecycle.deadlines import Deadlines
from supervisor.lifecycle.errors import RefusedError
from supervisor.lifecycle.events import (
    DeadlinePassed,
    OutputEnded,
    ProgramExited,
    ProgramStarted,
    Removed,
    RestartRequested,
    SpecChanged,
    StartFailed,
    StartRequested,
    StopRequested,
)
from supervisor.lifecycle.reasons import Exited, SpawnFailed
from supervisor.lifecycle.registry import Registry
from supervisor.lifecycle.rules import rules_of
from supervisor.lifecycle.selection import NO_GROUP, NO_PROCESS, NotFound
from supervisor.lifecycle.session import Session
from supervisor.lifecycle.states import SessionState


def spec(name: str, **keys: object) -> SessionSpec:
    table, _, number = name.partition("-")
    keys.setdefault("group", table)
    return SessionSpec(name=name, table=table, number=int(number or 0), command=("true",), **keys)


def fleet(*specs: SessionSpec) -> Fleet:
    return Fleet(config="/f", sessions={one.name: one for one in specs}, hosts={}, hooks={}, profiles={})


def loaded(*specs: SessionSpec) -> Registry:
    registry = Registry()
    update(registry, fleet(), fleet(*specs))
    return registry


def update(registry: Registry, old: Fleet, new: Fleet, now_s: float = 0.0) -> list[tuple[str, object]]:
    planned = registry.apply(new, diff(old, new))
    for name, event in planned:
        registry.step(name, event, now_s)
    return list(planned)


def run(registry: Registry, name: str) -> None:
    epoch = registry.sessions[name].epoch
    registry.step(name, ProgramStarted(epoch, 7, 0), 0)
    registry.step(name, DeadlinePassed(), 1)


def end(registry: Registry, name: str, code: int = 0) -> None:
    epoch = registry.sessions[name].epoch
    registry.step(name, ProgramExited(epoch, Exited(code), 50, 1), 50)
    if name in registry.sessions:
        registry.step(name, OutputEnded(epoch), 50)


# ---- plans


def test_a_fleet_starts_by_priority_and_what_starts_itself():
    """Lower priorities first, numbers as numbers; autostart = false is there and stopped."""
    specs = [spec("web-10"), spec("web-2"), spec("db", priority=1), spec("manual", autostart=False)]
    registry = Registry()
    planned = update(registry, fleet(), fleet(*specs))
    assert planned == [(name, StartRequested("autostart")) for name in ("db", "web-2", "web-10")]
    assert registry.sessions["manual"].state is SessionState.STOPPED
    assert {registry.sessions[name].state for name in ("db", "web-2", "web-10")} == {SessionState.STARTING}


def test_what_left_the_fleet_is_stopped_in_reverse_and_forgotten_when_it_is_gone():
    """Not before: until then it is seen, with the spec it had."""
    registry = loaded(spec("db", priority=1), spec("web"))
    for name in ("db", "web"):
        run(registry, name)
    old = fleet(*registry.specs.values())
    assert update(registry, old, fleet(), 9) == [("web", Removed("update")), ("db", Removed("update"))]
    assert registry.sessions["web"].state is SessionState.STOPPING
    assert registry.select(["web"]).names == ("web",)
    end(registry, "web")
    assert set(registry.sessions) == set(registry.specs) == {"db"}
    assert registry.due(1e9) == ("db",)


def test_what_comes_back_while_it_goes_is_started_again():
    """Under its new rules, once the old epoch is over."""
    registry = loaded(spec("web"))
    run(registry, "web")
    old = fleet(*registry.specs.values())
    update(registry, old, fleet(), 9)
    update(registry, fleet(), fleet(spec("web", start_seconds=5.0)), 9)
    end(registry, "web")
    session = registry.sessions["web"]
    assert (session.state, session.epoch, session.rules.start_seconds) == (SessionState.STARTING, 2, 5.0)


@pytest.mark.parametrize(
    ("keys", "events"),
    [
        ({"tags": ("x",)}, []),
        ({"start_seconds": 9.0}, [SpecChanged]),
        ({"cwd": "/elsewhere"}, [RestartRequested]),
        ({"cwd": "/elsewhere", "start_seconds": 9.0}, [SpecChanged, RestartRequested]),
        ({"autostart": False}, []),
    ],
)
def test_a_change_does_what_its_keys_need_and_no_more(keys, events):
    """Live ones change the rules, if those are among them; only another program is a restart."""
    registry = loaded(spec("web"), spec("other"))
    run(registry, "web")
    planned = update(registry, fleet(*registry.specs.values()), fleet(spec("web", **keys), spec("other")), 9)
    assert [(name, type(event)) for name, event in planned] == [("web", kind) for kind in events]
    assert registry.specs["web"] == spec("web", **keys)


def test_a_new_command_starts_nothing_that_was_to_be_down():
    """A stopped one stays stopped, one that ended as it should stays EXITED; one given up gets a new chance."""
    specs = [spec(name) for name in ("stopped", "exited", "fatal")]
    specs[2] = structs.replace(specs[2], restart=RestartPolicy(max=0))
    registry = loaded(*specs)
    registry.step("fatal", StartFailed(1, SpawnFailed("ENOENT", "no"), 0, 1), 0)
    for name in ("stopped", "exited"):
        run(registry, name)
    registry.step("stopped", StopRequested(), 2)
    for name in ("stopped", "exited"):
        end(registry, name)
    changed = [structs.replace(one, command=("false",)) for one in specs]
    assert update(registry, fleet(*specs), fleet(*changed), 99) == [("fatal", RestartRequested("update"))]


def test_a_session_that_the_journal_lost_comes_as_a_new_one():
    """A plan that only changes it finds it missing."""
    registry = Registry()
    planned = registry.apply(fleet(spec("web", cwd="/x")), diff(fleet(spec("web")), fleet(spec("web", cwd="/x"))))
    assert planned == (("web", StartRequested("autostart")),)
    assert registry.sessions["web"].state is SessionState.STOPPED


def test_a_restored_session_goes_on_where_it_was():
    """State, epoch and deadline."""
    first = loaded(spec("web"))
    run(first, "web")
    first.step("web", StopRequested(), 5)
    again = Registry()
    session = msgspec.msgpack.decode(msgspec.msgpack.encode(first.sessions["web"]), type=Session)
    again.restore(session, spec("web"))
    assert again.sessions["web"] == first.sessions["web"]
    assert again.next_deadline_s() == first.next_deadline_s() == 15


# ---- one step


def test_a_refusal_changes_nothing():
    """Neither the session nor its deadline."""
    registry = loaded(spec("web"))
    before = registry.sessions["web"]
    with pytest.raises(RefusedError):
        registry.step("web", StartRequested(), 0)
    assert registry.sessions["web"] is before


def test_no_session_waits_for_another():
    """While one will not stop, another is started, stopped and started again."""
    registry = loaded(spec("stuck"), spec("web"))
    run(registry, "stuck")
    registry.step("stuck", StopRequested(), 2)
    for _ in range(2):
        run(registry, "web")
        registry.step("web", StopRequested(), 3)
        end(registry, "web")
        registry.step("web", StartRequested(), 60)
    assert registry.sessions["stuck"].state is SessionState.STOPPING
    assert registry.sessions["web"].epoch == 3


# ---- deadlines


def test_the_next_deadline_is_the_earliest():
    """And due are those that passed, in their order; a moved one is looked at where it is now."""
    deadlines = Deadlines()
    assert deadlines.next_s() is None
    for name, at_s in (("b", 5.0), ("a", 7.0), ("c", 9.0), ("a", 3.0)):
        deadlines.set(name, at_s)
    deadlines.set("c", None)
    deadlines.set("nobody", None)
    assert (deadlines.next_s(), deadlines.due(4.9), deadlines.due(5.0)) == (3.0, ("a",), ("a", "b"))


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.none() | st.floats(0, 100)), max_size=30), st.floats(0, 100))
def test_deadlines_are_those_that_were_set_last(changes, now_s):
    """Whatever was set before."""
    deadlines, last = Deadlines(), {}
    for name, at_s in changes:
        deadlines.set(name, at_s)
        last[name] = at_s
    left = {name: at_s for name, at_s in last.items() if at_s is not None}
    assert deadlines.next_s() == min(left.values(), default=None)
    assert set(deadlines.due(now_s)) == {name for name, at_s in left.items() if at_s <= now_s}


# ---- whom a command means


@pytest.fixture
def shop() -> Registry:
    web = [spec(f"web-{number}", tags=("front",)) for number in (1, 2, 10)]
    registry = loaded(*web, spec("db", group="back", priority=1), spec("db@h1", group="back"))
    registry.step("web-2", StopRequested(), 0)
    return registry


@pytest.mark.parametrize(
    ("selectors", "names"),
    [
        ([], ["db", "db@h1", "web-1", "web-2", "web-10"]),
        (["all"], ["db", "db@h1", "web-1", "web-2", "web-10"]),
        (["web-10", "web-1"], ["web-10", "web-1"]),
        (["web:web-10"], ["web-10"]),
        (["web:*"], ["web-1", "web-2", "web-10"]),
        (["web:*0"], ["web-10"]),
        (["db*"], ["db", "db@h1"]),
        (["back:*", "db"], ["db", "db@h1"]),
        (["state=STOPPING"], ["web-2"]),
        (["state=stopping,starting", "tag=front"], ["web-1", "web-2", "web-10"]),
        (["web-*", "state=STARTING"], ["web-1", "web-10"]),
        (["tag=nope"], []),
        (["group=back"], ["db", "db@h1"]),
        (["group=back", "group=web", "state=STOPPING"], ["web-2"]),
    ],
)
def test_selectors(shop, selectors, names):
    """Names in the order asked for, groups and globs in start order, each once; conditions narrow."""
    selection = shop.select(selectors)
    assert (list(selection.names), selection.not_found) == (names, ())


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ("nope", NO_PROCESS),
        ("nope:*", NO_GROUP),
        ("nope:web-1", NO_GROUP),
        ("web:db", NO_PROCESS),
        ("x*", NO_PROCESS),
        ("WEB-1", NO_PROCESS),
    ],
)
def test_what_is_not_there_is_named(shop, selector, why):
    """Beside what is: a typing error in one name stops no other."""
    selection = shop.select([selector, "db"])
    assert (selection.names, selection.not_found) == (("db",), (NotFound(selector, why),))


def test_all_of_an_empty_fleet_is_no_error():
    """There is just nothing to do."""
    assert Registry().select(["all"]).not_found == ()


def test_stop_order_is_start_order_reversed(shop):
    """By priority, group and number."""
    assert shop.start_order(shop.sessions) == ("db", "db@h1", "web-1", "web-2", "web-10")
    assert shop.stop_order(shop.sessions) == ("web-10", "web-2", "web-1", "db@h1", "db")


def test_rules_are_those_of_the_spec():
    """Every key that the machine looks at."""
    rules = rules_of(spec("web", start_seconds=7.0))
    assert rules.start_seconds == 7.0
    assert rules.restart == spec("web").restart
