"""Workers are replaced one by one."""

from supervisor.upgrade.worker_round import WorkerRound


def test_each_waits_for_the_one_before() -> None:
    """Only the start of the worker that is waited for counts; what it took is the pause."""
    turn = WorkerRound.of([("a", 1), ("b", 4)])
    assert turn.next(10.0) == ("a", 1)
    assert not turn.is_back("b", 10.1)
    assert turn.is_back("a", 10.25)
    assert turn.next(11.0) == ("b", 4)
    assert turn.is_back("b", 11.5)
    assert turn.next(12.0) is None
    assert (turn.pauses_s, turn.replaced) == ([0.25, 0.5], {"a", "b"})
    assert turn.in_words() == "2 replaced"


def test_those_that_cannot_be_replaced_are_named() -> None:
    """With why not; the others are."""
    turn = WorkerRound.of([("a", 1), ("b", 1)])
    turn.next(0.0)
    assert not turn.pass_over("b", "has ended")
    assert turn.pass_over("a", "is stopped")
    turn.next(0.0)
    turn.is_back("b", 0.1)
    assert turn.in_words() == "1 replaced, 1 not: a (is stopped)"
    assert not turn.pass_over("", "nobody is waited for")
