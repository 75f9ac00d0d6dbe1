"""Whose size the session's terminal has. Pure.

Each viewer decides for itself, from what it knows: its own size, the session's, and whether it is the writer. So
`smallest` only ever shrinks while somebody watches, and is set anew by the writer of the next attach.
"""

from enum import StrEnum
from typing import NamedTuple, assert_never


class Policy(StrEnum):
    FIXED = "fixed"
    WRITER = "writer"
    LATEST = "latest"
    SMALLEST = "smallest"


class Size(NamedTuple):
    cols: int
    rows: int


def wanted_size(policy: Policy, ours: Size, theirs: Size, *, writes: bool) -> Size:
    """What the session's terminal should become; `theirs` where it should stay."""
    match policy:
        case Policy.FIXED:
            return theirs
        case Policy.WRITER:
            return ours if writes else theirs
        case Policy.LATEST:
            return ours
        case Policy.SMALLEST:
            return Size(min(ours.cols, theirs.cols), min(ours.rows, theirs.rows))
        case _:
            assert_never(policy)


def jiggled(size: Size) -> Size:
    """Another size, for a moment: a program draws all of its screen anew when its terminal changes."""
    return Size(size.cols, size.rows - 1 if size.rows > 1 else 2)
