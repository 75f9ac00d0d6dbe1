"""What is left of a program's stderr in one line."""

from supervisor.keeper.last_words import in_one_line

TRACEBACK = """Traceback (most recent call last):
  File "/opt/a.py", line 3, in <module>
    import b
  File "/opt/b.py", line 7, in <module>
    1 / 0
ZeroDivisionError: division by zero
"""


def test_a_traceback_says_what_and_where() -> None:
    """Its last line, and the innermost place."""
    assert in_one_line(TRACEBACK) == "ZeroDivisionError: division by zero (/opt/b.py:7)"


def test_other_words_are_taken_at_their_end() -> None:
    """Warnings come before what it died of."""
    assert in_one_line("a warning\nthe fleet file is refused: no\n\n") == "the fleet file is refused: no"
    assert in_one_line(" \n") == ""
