"""Tables as plain text: numbers right, names left."""

from collections.abc import Sequence
from typing import Any

Cell = str | float | int | None


def shown(cell: Cell) -> str:
    match cell:
        case None:
            return "-"
        case str():
            return cell
        case int():
            return f"{cell:,}"
        case _ if abs(cell) >= 100:
            return f"{cell:,.0f}"
        case _ if abs(cell) >= 10:
            return f"{cell:.1f}"
        case _:
            return f"{cell:.2f}"


def print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    texts = [list(heads)] + [[shown(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(heads))]
    left = [
        all(isinstance(row[column], str) and column in (0, len(heads) - 1) for row in rows)
        for column in range(len(heads))
    ]
    print(f"\n{title}")
    for number, row in enumerate(texts):
        print("  " + "  ".join(_padded(*cell) for cell in zip(row, widths, left, strict=True)).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def _padded(text: str, width: int, left: bool) -> str:  # noqa: FBT001 - a private cell formatter
    return text.ljust(width) if left else text.rjust(width)


def ratio(value: float, base: float | None) -> float | None:
    return value / base if base else None


Json = dict[str, Any]
