"""Bytes of logs as lines, with the time by which they were written. Pure.

A log's index says each second, or each 64 KiB, how far the log had come: a line is as old as the first such mark behind
it, to about a second. Lines of several logs are put in the order of these times.
"""

import heapq
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_MOST_BYTES = 1 << 20  # a line longer than this is given in pieces


class Stretch(NamedTuple):
    """Bytes that lie together in one epoch's stream."""

    time_ns: int
    epoch: int
    offset: int
    data: bytes


class Line(NamedTuple):
    session: str
    stream: str
    time_ns: int
    epoch: int
    offset: int
    text: bytes  # with its newline, where it has one

    @property
    def bare(self) -> bytes:
        return self.text.removesuffix(b"\n").removesuffix(b"\r")


class LineCutter:
    """Stretches in, whole lines out. What is left of an epoch that ends is a line too."""

    def __init__(self, session: str, stream: str) -> None:
        self._session = session
        self._stream = stream
        self._held = Stretch(0, 0, 0, b"")

    def feed(self, stretch: Stretch) -> Iterator[Line]:
        held = self._held
        if held.data and (held.epoch, held.offset + len(held.data)) != (stretch.epoch, stretch.offset):
            yield from self.rest()
        data = self._held.data + stretch.data
        at = stretch.offset - len(self._held.data)
        self._held = Stretch(stretch.time_ns, stretch.epoch, 0, b"")
        for piece in _split_at_newlines(data):
            if not piece.endswith(b"\n") and len(piece) < _MOST_BYTES:
                self._held = Stretch(stretch.time_ns, stretch.epoch, at, piece)
                return
            yield self._line(stretch, at, piece)
            at += len(piece)

    def rest(self) -> Iterator[Line]:
        held, self._held = self._held, Stretch(0, 0, 0, b"")
        if held.data:
            yield self._line(held, held.offset, held.data)

    def _line(self, stretch: Stretch, offset: int, text: bytes) -> Line:
        return Line(self._session, self._stream, stretch.time_ns, stretch.epoch, offset, text)


def _split_at_newlines(data: bytes) -> list[bytes]:
    """splitlines knows other ends of lines, too."""
    pieces = [piece + b"\n" for piece in data.split(b"\n")]
    pieces[-1] = pieces[-1][:-1]
    return pieces if pieces[-1] else pieces[:-1]


def lines_of(session: str, stream: str, stretches: Iterable[Stretch]) -> Iterator[Line]:
    cutter = LineCutter(session, stream)
    for stretch in stretches:
        yield from cutter.feed(stretch)
    yield from cutter.rest()


def interleaved(logs: Iterable[Iterable[Line]]) -> Iterator[Line]:
    return heapq.merge(*logs, key=lambda line: line.time_ns)


def matching(lines: Iterable[Line], pattern: re.Pattern[bytes] | None) -> Iterator[Line]:
    return (line for line in lines if pattern is None or pattern.search(line.bare))
