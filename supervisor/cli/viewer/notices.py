"""One line for the user on the last row of the terminal, over whatever is there. Pure."""

SHOW_S = 3.0


def notice(text: str, cols: int, rows: int) -> bytes:
    """The cursor stays where it is."""
    shown = f" {text} "[:cols].encode()
    return b"\x1b7\x1b[%d;1H\x1b[0;7m%b\x1b[0m\x1b[K\x1b8" % (rows, shown)


def last_line(text: str) -> bytes:
    """Below everything, on a terminal that was reset."""
    return b"\x1b[999;1H\r\n%b\r\n" % text.encode()


def below_output(text: str) -> bytes:
    """Where a shell would go on, on a terminal that was reset: short output stays in view."""
    return b"\r\n%b\r\n" % text.encode()


def fresh_screen(rows: int) -> bytes:
    """What the user has on his screen moves into the scrollback."""
    return b"\x1b[%d;1H" % rows + b"\n" * rows + b"\x1b[H\x1b[2J"
