"""Messages on a byte stream: four bytes of length, little endian, then so many bytes. Pure.

A peer that announces more than is allowed is not waited for: the limit is a protocol error at once.
"""

from ipc.errors import ProtocolError

_LENGTH_BYTES = 4


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(_LENGTH_BYTES, "little") + payload


class Deframer:
    """Takes bytes as they come, however they are cut, and gives whole payloads."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        payloads = []
        start = 0
        while (end := self._end_of_frame(start)) is not None:
            payloads.append(bytes(self._buffer[start + _LENGTH_BYTES : end]))
            start = end
        del self._buffer[:start]
        return payloads

    def _end_of_frame(self, start: int) -> int | None:
        if len(self._buffer) - start < _LENGTH_BYTES:
            return None
        length = int.from_bytes(self._buffer[start : start + _LENGTH_BYTES], "little")
        if length > self._most_bytes:
            raise ProtocolError(f"a message of {length} bytes, at most {self._most_bytes} are allowed")
        end = start + _LENGTH_BYTES + length
        return end if len(self._buffer) >= end else None

    @property
    def is_between_frames(self) -> bool:
        return not self._buffer
