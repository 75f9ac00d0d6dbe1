"""Which sessions a router had better leave alone for a while. Pure: `now_ns` is passed in.

A router that dies while it serves a session leaves that session's number on the board. Somebody else's SIGKILL proves
nothing against the session; a fault of its own (SIGSEGV, SIGBUS, an exception) does. Three such deaths within a
minute, and the session is set aside for a minute; what its ring lost meanwhile is stated as a gap.
"""

from collections.abc import Sequence
from typing import NamedTuple

WINDOW_NS = 60 * 10**9
ASIDE_NS = 60 * 10**9


class Record(NamedTuple):
    """As it stands on the board: when routers died of this session, and until when it is set aside."""

    deaths_ns: tuple[int, int, int]
    aside_until_ns: int


NO_RECORD = Record((0, 0, 0), 0)


def after_death(record: Record, now_ns: int) -> Record:
    deaths = (*record.deaths_ns[1:], now_ns)
    if deaths[0] and now_ns - deaths[0] <= WINDOW_NS:
        return Record((0, 0, 0), now_ns + ASIDE_NS)
    return Record(deaths, record.aside_until_ns)


def is_aside(record: Record, now_ns: int) -> bool:
    return now_ns < record.aside_until_ns


def decode(words: Sequence[int]) -> Record:
    first, second, third, aside = words
    return Record((first, second, third), aside)
