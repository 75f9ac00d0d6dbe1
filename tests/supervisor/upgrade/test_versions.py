"""Whether two releases understand each other."""

from supervisor.upgrade.versions import SPEAKS, Span, misunderstandings, spoken

INSTALLED = {"ring": Span(2, 3), "board": Span(1, 1)}


def test_a_release_understands_itself() -> None:
    """And what is spoken lies within what is understood."""
    assert misunderstandings(spoken()) == []
    assert all(span.oldest <= span.newest for span in SPEAKS.values())


def test_the_present_version_and_the_one_before_are_understood() -> None:
    """In both directions of time it is said what is not."""
    assert misunderstandings({"ring": 2, "board": 1}, INSTALLED) == []
    assert misunderstandings({"ring": 3}, INSTALLED) == []
    assert misunderstandings({"ring": 1, "board": 2}, INSTALLED) == [
        "ring: version 1 is in use, the installed code understands 2 to 3",
        "board: version 2 is in use, the installed code understands 1",
    ]
    assert misunderstandings({"ring": 4}, INSTALLED) != []


def test_what_the_installed_code_does_not_know_is_not_its_concern() -> None:
    """A thing that it has given up."""
    assert misunderstandings({"smoke signals": 7}, INSTALLED) == []
