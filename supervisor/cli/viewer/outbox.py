"""What was typed and has not gone in yet: cut into messages, kept until it is answered. Pure.

So much may be unanswered, the rest waits here: the worker refuses nothing that comes from here, unless others fill its
queue. A Ctrl-C typed behind a paste that the program does not take goes first, as it would at a terminal.

When the worker is killed, the next one says how many bytes had gone in for certain, and how many were in the one write
that was interrupted. What had gone in is not sent again, nor what was in doubt: a command line that is executed twice
is worse than a key to be pressed again, and the user is told.
"""

from collections import deque

from ipc.worker_messages import MAX_INPUT_BYTES, Discarded, Greeting, Input, Refused, Written

MOST_UNANSWERED_BYTES = 512 << 10
MOST_UNANSWERED = 256
FULL_BYTES = 16 << 20
_INTERRUPTS = frozenset({b"\x03", b"\x1a", b"\x1c"})


class Outbox:
    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._unanswered: dict[int, bytes] = {}
        self._unanswered_bytes = 0
        self._next_id = 1
        self._input_offset = 0
        self._hurries = False  # the first that waits is an interrupt
        self._overtaken = 0  # of those that wait behind it, so many were typed before it

    @property
    def is_full(self) -> bool:
        return self._waiting_bytes >= FULL_BYTES

    def __bool__(self) -> bool:
        return bool(self._waiting or self._unanswered)

    def type(self, data: bytes) -> None:
        if data in _INTERRUPTS and self._waiting:
            self._overtaken = len(self._waiting)
            self._put_back(data)
            self._hurries = True
            return
        if len(self._waiting) > self._overtaken and len(self._waiting[-1]) + len(data) <= MAX_INPUT_BYTES:
            self._waiting[-1] += data
            self._waiting_bytes += len(data)
            return
        for start in range(0, len(data), MAX_INPUT_BYTES):
            self._waiting.append(data[start : start + MAX_INPUT_BYTES])
        self._waiting_bytes += len(data)

    def next_message(self) -> Input | None:
        """To be sent now; `sent` says that it was."""
        if not self._waiting or (not self._hurries and self._is_held_up()):
            return None
        return Input(self._next_id, self._waiting[0])

    def _is_held_up(self) -> bool:
        return len(self._unanswered) >= MOST_UNANSWERED or self._unanswered_bytes >= MOST_UNANSWERED_BYTES

    def sent(self) -> None:
        data = self._waiting.popleft()
        self._waiting_bytes -= len(data)
        self._unanswered[self._next_id] = data
        self._unanswered_bytes += len(data)
        self._next_id += 1
        if not self._hurries:
            self._overtaken = max(0, self._overtaken - 1)
        self._hurries = False

    def answered(self, answer: Written | Refused | Discarded) -> int:
        """How many bytes of ours that was."""
        data = self._unanswered.pop(answer.id, b"")
        self._unanswered_bytes -= len(data)
        if isinstance(answer, Written):
            self._input_offset = answer.input_offset
        elif isinstance(answer, Discarded) and not self._hurries:
            self._sweep()
        return len(data)

    def _sweep(self) -> None:
        """An interrupt has thrown away what was typed before it; that goes for what is still here, too."""
        while self._overtaken:
            self._waiting_bytes -= len(self._waiting.popleft())
            self._overtaken -= 1

    def greeted(self, greeting: Greeting) -> int:
        """By a worker of the same epoch. Gives how many bytes of ours are lost for good: they were in doubt."""
        unanswered = b"".join(self._unanswered.values())
        gone = max(0, greeting.input_offset - self._input_offset)
        rest = unanswered[gone:]
        doubt = min(greeting.in_doubt_bytes, len(rest))
        self._clear_unanswered()
        self._input_offset = greeting.input_offset
        if rest[doubt:]:
            self._put_back(rest[doubt:])
        return doubt

    def _put_back(self, data: bytes) -> None:
        pieces = [data[start : start + MAX_INPUT_BYTES] for start in range(0, len(data), MAX_INPUT_BYTES)]
        self._waiting.extendleft(reversed(pieces))
        self._waiting_bytes += len(data)

    def _clear_unanswered(self) -> None:
        self._unanswered.clear()
        self._unanswered_bytes = 0

    def forget(self) -> None:
        """The program it was meant for is gone, or somebody else types now."""
        self._clear_unanswered()
        self._waiting.clear()
        self._waiting_bytes = self._overtaken = 0
        self._hurries = False
