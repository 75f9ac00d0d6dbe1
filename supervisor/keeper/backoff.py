"""How long to wait before what died is started again.

At once the first time; if the next one dies quickly too, after 50 ms, and twice as long each time, up to 5 s. One
that lived for 10 s has shown that it can live, and is started at once again.
"""

from msgspec import Struct

STEADY_S = 10.0
FIRST_DELAY_S = 0.05
MAX_DELAY_S = 5.0
_DOUBLINGS = 10


class Backoff(Struct, frozen=True):
    quick_deaths: int = 0

    def after_death(self, lived_s: float, steady_s: float = STEADY_S) -> "Backoff":
        return Backoff(1 if lived_s >= steady_s else self.quick_deaths + 1)

    @property
    def delay_s(self) -> float:
        if self.quick_deaths <= 1:
            return 0.0
        return min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self.quick_deaths - 2, _DOUBLINGS))
