"""Amounts of memory that may be a share of the machine's: what the pure parser cannot turn into bytes."""

from typing import Final

from msgspec import Struct

from config import units
from config.kinds import Scalar
from config.units import shown
from config.values import text_like


class Percent(Struct, frozen=True, tag=True):
    value: float

    def of(self, total_bytes: int) -> int:
        return int(total_bytes * self.value / 100)


MemoryAmount = int | Percent  # bytes, or a share


def bytes_of(amount: MemoryAmount, total_bytes: int) -> int:
    return amount.of(total_bytes) if isinstance(amount, Percent) else amount


def _memory(raw: object) -> MemoryAmount:
    if not isinstance(raw, str) or not raw.endswith("%"):
        size_bytes = units.parse_bytes(raw)
        if size_bytes == 0:
            raise ValueError("is no memory at all")
        return size_bytes
    share = Percent(units.parse_percent(raw))
    if share.value > 100:
        raise ValueError(f"{shown(raw)} is more memory than there is")
    return share


MEMORY: Final = Scalar(
    _memory,
    {"anyOf": [{"type": "integer", "minimum": 0}, text_like(f"{units.BYTES_PATTERN}|{units.PERCENT_PATTERN}")]},
)
