"""When a session's output has ended. Pure: `now_s` is passed in.

Two facts that are never the same: *the leader has ended* (its pidfd is readable) and *the output has ended*. A
terminal whose last holder is gone answers EIO, a pipe gives end of file: nothing can come any more, and the end is
certain. As long as the leader lives the session goes on all the same: it may open its terminal again. A background
process may hold the other end for ever: once the leader is gone and everything was read, output has `linger_s` to go
on.

    leader    sources       output
    alive     any           goes on
    gone      all ended     has ended: EOF
    gone      some open     has ended `linger_s` after the leader, once nothing is left to read, or once more was read
                            than the kernel can have held when the leader ended: DRAINED
"""

from ipc.frames import EndReason


class Ending:
    """`held_bytes` bounds what the kernel can hold between the program and us."""

    def __init__(self, linger_s: float, held_bytes: int) -> None:
        self._linger_s = linger_s
        self._held_bytes = held_bytes
        self._own_end_bytes = 0
        self.deadline_s: float | None = None

    @property
    def leader_gone(self) -> bool:
        return self.deadline_s is not None

    def leader_ended(self, now_s: float, position_bytes: int) -> None:
        self.deadline_s = now_s + self._linger_s
        self._own_end_bytes = position_bytes + self._held_bytes

    def verdict(self, *, empty: bool, sources_open: bool, position_bytes: int, now_s: float) -> EndReason | None:
        """`empty`: there was nothing left to read. `position_bytes` counts all that was read in this epoch."""
        if self.deadline_s is None:
            return None
        if empty and not sources_open:
            return EndReason.EOF
        if now_s >= self.deadline_s and (empty or position_bytes >= self._own_end_bytes):
            return EndReason.DRAINED
        return None
