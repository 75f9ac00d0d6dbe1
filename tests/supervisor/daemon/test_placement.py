"""Slots of the board: the lowest that nobody has."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.daemon.placement import Slots


def test_a_slot_that_is_claimed_is_not_given_to_anybody_else() -> None:
    """The keeper may still have sessions that the fleet does not know any more."""
    slots = Slots()
    slots.claim(0)
    slots.claim(2)
    assert [slots.take() for _ in range(3)] == [1, 3, 4]
    slots.give_back(2)
    slots.give_back(0)
    assert [slots.take() for _ in range(3)] == [0, 2, 5]


@given(st.lists(st.integers(0, 12)))
def test_the_lowest_free_slot_is_taken(moves: list[int]) -> None:
    """An even number takes one, an odd one gives back what is taken there, or claims it."""
    slots, taken = Slots(), set[int]()
    for move in moves:
        if move % 2 == 0:
            found = slots.take()
            assert found == min(set(range(len(taken) + 1)) - taken)
            taken.add(found)
        elif move in taken:
            slots.give_back(move)
            taken.remove(move)
        else:
            slots.claim(move)
            taken.add(move)
