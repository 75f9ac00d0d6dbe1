"""A program like vim or htop: draws all of its screen only when the size changes, else here and there.

It enters the alternate screen and asks for everything that a terminal can do, draws so many megabytes without ever
clearing, says DONE in its last line, and then writes what is typed there. `q` leaves.
"""

import os
import signal
import sys
import termios
import tty

MODES = b"\x1b[?1049h\x1b[?1000;1002;1006;2004;1004h\x1b[?1h\x1b=\x1b[?25l\x1b[2 q\x1b]2;full screen\x07"
BACK = b"\x1b[?1049l\x1b[?1000;1002;1006;2004;1004l\x1b[?1l\x1b>\x1b[?25h\x1b[0 q"


def draw(words: bytes) -> None:
    cols, rows = os.get_terminal_size()
    for row in range(1, rows):
        text = b"row %d of %d x %d " % (row, cols, rows)
        out(b"\x1b[%d;1H\x1b[3%dm%b\x1b[0m\x1b[K" % (row, row % 8, text.ljust(cols - 1, b".")))
    out(b"\x1b[%d;1H%b\x1b[K" % (rows, words))


def out(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def main() -> None:
    megabytes = float(sys.argv[1])
    before = termios.tcgetattr(0)
    tty.setraw(0)
    out(MODES)
    words = b"DONE "
    draw(words)
    picture = b"".join(b"\x1b[%d;%dHxyz\x1b[K" % (1 + n % 20, 1 + n % 60) for n in range(4000))
    for _ in range(int(megabytes * 1e6 / len(picture))):
        out(picture)
    draw(words)
    signal.signal(signal.SIGWINCH, lambda *_: draw(words))
    while (typed := os.read(0, 100)) != b"q":
        words += typed
        draw(words)
    out(BACK)
    termios.tcsetattr(0, termios.TCSANOW, before)


main()
