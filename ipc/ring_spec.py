"""What a ring should be like when it is made."""

from dataclasses import dataclass

from ipc.ring_layout import MIN_DATA_BYTES, Policy, power_of_two_at_least


@dataclass(frozen=True, slots=True)
class RingSpec:
    slot: int  # the session's line on the board
    size_bytes: int = MIN_DATA_BYTES
    max_bytes: int = 8 << 20
    policy: Policy = Policy.BLOCK
    has_log: bool = True
    gating_log: bool = True  # a log for which a `block` ring holds its program back
    log_bell: int = 1

    def rounded(self) -> tuple[int, int]:
        """Least and most data bytes: powers of two, least not above most."""
        least = power_of_two_at_least(self.size_bytes)
        return least, max(least, power_of_two_at_least(self.max_bytes))
