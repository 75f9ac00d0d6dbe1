"""Bytes that are no message: whoever sends or leaves them brings down nobody who reads them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from childproc.worker_record import read_record
from ipc import router_messages, sink_spec, worker_messages
from ipc.errors import ProtocolError
from supervisor.control import messages as control
from supervisor.fleet_place import read_place
from supervisor.lifecycle.frames import framed
from supervisor.lifecycle.journal import decode_records

BAD_UTF8 = b"\x81\xa4type\xa3a\x81b"
BOTTOMLESS = b"\x82\xa4type\xa5hello\xa7another" + b"\x91" * 60_000 + b"\x01"
UNREADABLE = {
    "bad UTF-8": BAD_UTF8,
    "bottomless": BOTTOMLESS,
    "cut": BAD_UTF8[:3],
    "empty": b"",
    "rubbish": b"\xff" * 9,
}

pytestmark = pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())


@pytest.mark.parametrize(
    "decode",
    [
        control.decode_request,
        control.decode_answer,
        worker_messages.decode_to_worker,
        worker_messages.decode_from_worker,
        router_messages.decode_to_router,
    ],
)
def test_a_peer_broke_the_protocol(decode: Callable[[bytes], object], data: bytes) -> None:
    """And is disconnected for it; anything else would end the process."""
    with pytest.raises(ProtocolError):
        decode(data)


def test_a_record_is_as_good_as_none(tmp_path: Path, data: bytes) -> None:
    """Of a worker and of a fleet; a sink says that it cannot be used."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "web.worker").write_bytes(data)
    (tmp_path / "fleet.json").write_bytes(data)
    assert read_record(str(tmp_path), "web") is None
    assert read_place(str(tmp_path)) is None
    (tmp_path / "web.sink").write_bytes(data)
    with pytest.raises(ProtocolError):
        sink_spec.read_sink(str(tmp_path), "web")


def test_a_journal_counts_what_it_cannot_read(data: bytes) -> None:
    """Where the frame is whole, and what is in it is not."""
    assert decode_records(framed(data)).unreadable == 1
