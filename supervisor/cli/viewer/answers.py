"""Keeps the terminal's own answers away from the program while old output is shown again. Pure.

Old output contains questions: who are you, where is the cursor. A terminal answers them again, and the answers would
be typed into a program that asked long ago. A question of our own stands at the end of the replay, and terminals answer
in order: whatever answer comes before the one to ours belongs to the past. Keys pressed meanwhile pass. A sequence that
is cut in two waits for its rest; one who waits too long for the last answer has a terminal that gives none.
"""

import re

FENCE = b"\x1b[5n"
_FENCE_ANSWER = b"\x1b[0n"
_ANSWER = re.compile(
    rb"""\x1b(?:
        \[\??[0-9;]*R                     # where the cursor is
      | \[\??[0-9;]*n                     # how are you
      | \[[?>=][0-9;]*c                   # who are you
      | \[\??[0-9;]*\$y                   # is this mode on
      | \[[0-9;]*t                        # how large is the window
      | \[\?[0-9;:]*u                     # which keyboard flags are on
      | [\]P_][^\x07\x1b]*(?:\x07|\x1b\\) # colours, versions, capabilities, pictures
    )""",
    re.VERBOSE,
)
_UNFINISHED = re.compile(rb"\x1b(?:\[[?>=]?[0-9;:]*\$?|[\]P_][^\x07\x1b]*\x1b?)?\Z")


class AnswerFilter:
    """`fences`: how many have been written."""

    def __init__(self) -> None:
        self.fences = 0
        self.over = False
        self._held = b""

    def feed(self, typed: bytes) -> bytes:
        """What a person typed; all of it from the answer to the fence on."""
        typed = self._held + typed
        self._held = b""
        out = []
        at = 0
        for answer in _ANSWER.finditer(typed):
            out.append(typed[at : answer.start()])
            at = answer.end()
            if answer[0] == _FENCE_ANSWER:
                self.fences -= 1
                if self.fences <= 0:
                    self.over = True
                    return b"".join([*out, typed[at:]])
        unfinished = _UNFINISHED.search(typed, at)
        end = unfinished.start() if unfinished else len(typed)
        self._held = typed[end:]
        return b"".join([*out, typed[at:end]])

    def release(self) -> bytes:
        """The terminal gives no answer: what was held back is a key, such as ESC."""
        self.over = True
        held, self._held = self._held, b""
        return held
