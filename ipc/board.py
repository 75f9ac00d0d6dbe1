"""The board: one shared page range for a whole fleet, so that a reader of a thousand rings looks in one place.

      0x0000  magic | 0x0008 version u32, sessions u32
      0x0040  bell[8], 64 bytes each:
                 +0x00  SLEEPING   the reader behind this bell sleeps: whoever commits clears it and rings
                 +0x08  SERVING    slot + 1 of the ring it is working on right now, 0 for none
      0x1000  session[n], 64 bytes each:
                 +0x00  MIRROR     the commit word of the session's ring, stored right after it
                 +0x08  death[3]   when a reader last died while it served this session (CLOCK_BOOTTIME ns)
                 +0x20  ASIDE      not 0: set aside until then

MIRROR only says where to look: the ring's own COMMIT is the truth, and a reader that is woken and finds no mirror
moved looks at the rings themselves. A writer that attaches stores its mirror and rings, which heals whatever a
killed one left.
"""

from ipc.errors import RingCorrupt, RingVersion

MAGIC = int.from_bytes(b"RINGBORD", "little")
VERSION = 1
BELLS = 8
LIVE_BELL = 0
FIRST_LOG_BELL = 1
LAST_LOG_BELL = 6
TYPED_BELL = 7
MAX_SESSIONS = 4096
HEADER_BYTES = 0x1000
LINE_BYTES = 64
BOARD_BYTES = HEADER_BYTES + MAX_SESSIONS * LINE_BYTES

_LINE_WORDS = LINE_BYTES // 8
_FIRST_BELL_WORD = 0x40 // 8
_FIRST_SESSION_WORD = HEADER_BYTES // 8
DEATHS_KEPT = 3


def sleeping_word(bell: int) -> int:
    return _FIRST_BELL_WORD + bell * _LINE_WORDS


def serving_word(bell: int) -> int:
    return sleeping_word(bell) + 1


def mirror_word(slot: int) -> int:
    if not 0 <= slot < MAX_SESSIONS:
        raise ValueError(f"a fleet has at most {MAX_SESSIONS} sessions, slot {slot} is beyond")
    return _FIRST_SESSION_WORD + slot * _LINE_WORDS


def death_word(slot: int, index: int) -> int:
    return mirror_word(slot) + 1 + index


def aside_word(slot: int) -> int:
    return mirror_word(slot) + 4


def initial_board() -> bytearray:
    board = bytearray(HEADER_BYTES)
    words = memoryview(board).cast("Q")
    words[0] = MAGIC
    words[1] = VERSION | MAX_SESSIONS << 32
    words.release()
    return board


def check_board(words: memoryview) -> None:
    if len(words) * 8 < BOARD_BYTES or words[0] != MAGIC:
        raise RingCorrupt("not a board, or one whose creation was never finished")
    if words[1] != VERSION | MAX_SESSIONS << 32:
        raise RingVersion(f"board version {words[1] & 0xFFFFFFFF}, this is version {VERSION}")
