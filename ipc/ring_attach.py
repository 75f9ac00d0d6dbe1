"""Writers and readers put together with their board and their bells."""

import os
import time
from functools import partial

from ipc import ring_layout as at
from ipc.bell import Bell
from ipc.board import mirror_word
from ipc.ordering import register
from ipc.ring_dir import open_board, open_reader_bell, open_writer_bell
from ipc.ring_file import WriterFile, open_following, open_ring
from ipc.ring_reader import Follower, RingReader
from ipc.ring_writer import RingWriter


class _ReaderBells:
    """Opened when first rung: most workers ever ring one."""

    def __init__(self, ring_dir: str) -> None:
        self._dir = ring_dir
        self._bells: dict[int, Bell] = {}

    def ring(self, bell: int) -> None:
        if bell not in self._bells:
            self._bells[bell] = open_reader_bell(self._dir, bell)
        self._bells[bell].ring()


def attach_writer(ring_dir: str, session: str, slot: int) -> RingWriter:
    """For the one worker of this session; the one before it must have been reaped. A ring of the layout before ours
    becomes one of ours; where memory refuses that it stays as it is, and is understood."""
    register()
    file = WriterFile(ring_dir, session)
    writer = RingWriter(
        file.open(),
        board=open_board(ring_dir),
        mirror_word=mirror_word(slot),
        ring_bell=_ReaderBells(ring_dir).ring,
        clock_ns=time.monotonic_ns,
        resize=file.resize,
    )
    if writer.memory.version != at.VERSION:
        writer.resize(writer.memory.data_bytes)
    return writer


def attach_reader(ring_dir: str, session: str, reader_slot: int, *, bell: int, gating: bool) -> RingReader:
    register()
    writer_bell = _WriterBell(ring_dir, session)
    return RingReader(
        open_ring(ring_dir, session),
        reader_slot,
        bell=bell,
        gating=gating,
        pid=os.getpid(),
        stamp=time.monotonic_ns,
        following=partial(open_following, ring_dir, session),
        ring_writer=writer_bell.ring,
    )


class _WriterBell:
    """Opened when first needed: a session whose ring never fills never costs the router this fd."""

    def __init__(self, ring_dir: str, session: str) -> None:
        self._dir = ring_dir
        self._session = session
        self._bell: Bell | None = None

    def ring(self) -> None:
        if self._bell is None:
            self._bell = open_writer_bell(self._dir, self._session)
        self._bell.ring()


def attach_follower(ring_dir: str, session: str) -> Follower:
    register()
    ring = open_ring(ring_dir, session)
    return Follower(ring, following=partial(open_following, ring_dir, session), stamp=time.monotonic_ns)
