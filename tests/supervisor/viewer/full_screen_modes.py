"""What full_screen.py draws and switches on."""

from ipc.terminal_modes import Modes


def expected(cols: int, rows: int, words: str) -> list[str]:
    drawn = [f"row {row} of {cols} x {rows} ".ljust(cols - 1, ".") for row in range(1, rows)]
    return [*drawn, words]


def are_on(modes: Modes) -> bool:
    on = {1: True, 25: False, 1000: True, 1002: True, 1004: True, 1006: True, 2004: True}
    return modes.alternate == 1049 and dict(modes.private) == on and modes.keypad and modes.cursor_style == b"2"
