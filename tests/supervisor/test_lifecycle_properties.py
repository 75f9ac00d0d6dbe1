"""Whatever happens, in whatever order, and wherever the supervisor is killed: what must hold, holds."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from config.policies import RestartPolicy, RestartWhen
from supervisor.lifecycle.journal import decode_records
from supervisor.lifecycle.replay import replay
from supervisor.lifecycle.rules import Rules
from supervisor.lifecycle.states import Desired, Program, SessionState
from tests.supervisor.lifecycle_world import ACTIONS, IDLE, World, played

_histories = st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.floats(0, 1)), max_size=60)


@settings(deadline=None, max_examples=400)
@given(_histories, st.sampled_from(RestartWhen), st.integers(0, 3))
def test_no_history_breaks_an_invariant_and_each_comes_to_rest(actions, policy, most):
    """One epoch at a time, no start when wanted down, one deadline, each end once; then it is where it is wanted."""
    _comes_to_rest(played(actions, Rules(restart=RestartPolicy(policy=policy, max=most, delay_s=0.5))))


def test_long_random_histories_come_to_rest():
    """The same with many steps; the seed is in the failure."""
    for seed in range(150):
        dice = random.Random(seed)
        names = sorted(ACTIONS) + ["deliver", "exec", "wait", "end output"] * 4
        _comes_to_rest(played([(dice.choice(names), dice.random()) for _ in range(300)]))


def _comes_to_rest(world: World) -> None:
    world.dies_after = None
    world.look_again(0.5)  # sight, if it was lost, comes back
    world.settle()
    session = world.session
    if session.desired is Desired.UP:
        assert session.state in (SessionState.RUNNING, SessionState.EXITED, SessionState.FATAL)
    else:
        assert session.state in (SessionState.STOPPED, SessionState.EXITED, SessionState.FATAL)
    assert (session.state is SessionState.RUNNING) == (world.keeper.program is Program.ALIVE)
    assert session.state not in IDLE or world.keeper.is_over


@settings(deadline=None, max_examples=200)
@given(_histories)
def test_the_journal_replayed_decides_the_same(actions):
    """Sessions and effects alike, from the bytes that were written."""
    world = played(actions)
    again = list(replay(decode_records(world.bytes).records))
    assert all(replayed.is_same for replayed in again)
    assert len(again) == len(world.decisions)
