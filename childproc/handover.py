"""Input that a worker had taken and not yet passed on when it made place for the next one.

Clients keep what they sent until it is answered, and send the rest of it again to the next worker: for those that are
still there it is enough to be told where they stand (see input_port.py). What is left here is what nobody else has any
more: inputs whose clients are gone, and ends of file, with all that stands before them.

<runtime_dir>/w/<session>.input, read once: it is removed before the first byte of it goes in.
"""

import contextlib
import os

import msgspec

from childproc.worker_record import path_of, write_whole
from ipc.errors import UNREADABLE

_KIND = "input"


class Handover(msgspec.Struct, frozen=True):
    epoch: int
    inputs: tuple[bytes, ...]
    closes: bool  # a pipe is to be closed behind them


def leave(runtime_dir: str, session: str, handover: Handover) -> None:
    if handover.inputs or handover.closes:
        write_whole(path_of(runtime_dir, session, _KIND), msgspec.msgpack.encode(handover))


def take(runtime_dir: str, session: str, epoch: int) -> Handover:
    """Of this epoch; empty where nothing was left."""
    path = path_of(runtime_dir, session, _KIND)
    found = Handover(epoch, (), closes=False)
    with contextlib.suppress(FileNotFoundError):
        with contextlib.suppress(*UNREADABLE), open(path, "rb") as file:
            found = msgspec.msgpack.decode(file.read(), type=Handover)
        os.unlink(path)
    return found if found.epoch == epoch else Handover(epoch, (), closes=False)
