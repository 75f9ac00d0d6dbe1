"""Clients that break the protocol, vanish or say nothing: told why, dropped, and nobody else notices."""

import contextlib
import os

import msgspec
import pytest

from childproc import worker
from childproc.input_port import MAX_CLIENTS
from childproc.spec import Io
from ipc.unix_socket import connect_seqpacket
from ipc.worker_messages import MAX_INPUT_BYTES, VERSION, Hello, Input, Resize, encode
from tests.support.worker_process import SESSION

_pack = msgspec.msgpack.encode

_BROKEN = {
    "garbage": b"\x00\xffgarbage",
    "no message": _pack({"type": "no such thing"}),
    "a list": _pack([1, 2, 3]),
    "not even msgpack": b"\xc1",
    "a negative id": _pack({"type": "input", "id": -1, "data": b""}),
    "an id beyond 63 bits": _pack({"type": "input", "id": 1 << 63, "data": b""}),
    "an input too large": _pack({"type": "input", "id": 1, "data": bytes(MAX_INPUT_BYTES + 1)}),
    "a packet beyond the limit": encode(Input(1, bytes(150_000))),
    "text for bytes": _pack({"type": "input", "id": 1, "data": 7}),
    "a terminal of no columns": encode(Resize(0, 24)),
    "a terminal too wide": encode(Resize(65536, 24)),
}


@pytest.fixture
def cat(rig):
    return rig(["cat"], io=Io.PIPE)


def serves(session) -> bool:
    """A client that behaves gets what it asks for."""
    client = session.connect()
    heard_bytes = len(session.out.data)
    client.type(b"hello")
    session.until(lambda: session.out.data[heard_bytes:] == b"hello")
    client.close()
    return True


@pytest.mark.parametrize("greeted", [True, False])
@pytest.mark.parametrize("packet", _BROKEN.values(), ids=_BROKEN)
def test_a_broken_packet(cat, packet, greeted):
    """The reason, the end of the connection, and no word of it to the program."""
    client = cat.connect() if greeted else cat.connect_silently()
    client.send_packet(packet)
    cat.until(lambda: client.closed)
    assert client.goodbye
    assert cat.out.data == b""
    assert serves(cat)


def test_another_version(cat):
    """Both versions are named."""
    client = cat.connect_silently()
    client.hello(VERSION + 1)
    cat.until(lambda: client.closed)
    assert f"version {VERSION + 1}" in client.goodbye
    assert f"speaks {VERSION}" in client.goodbye


def test_no_hello(cat):
    """Nothing is done for a client that was not greeted."""
    client = cat.connect_silently()
    client.type(b"psst")
    cat.until(lambda: client.closed)
    assert "hello" in client.goodbye
    assert cat.out.data == b""


def test_a_client_that_never_reads_its_answers(cat):
    """Dropped once its socket is full of them; what it sent goes in all the same."""
    deaf, sent = cat.connect(), 0
    cat.clients.remove(deaf)
    with contextlib.suppress(ConnectionError):
        while sent < 100_000:
            deaf.type(b"x")
            sent += 1
    assert sent < 100_000
    deaf.close()
    assert serves_after_noise(cat)


def serves_after_noise(session) -> bool:
    client = session.connect()
    request = client.type(b"\nhello")
    session.until(lambda: session.out.data.endswith(b"\nhello") and request in client.answers)
    return set(session.out.data[:-6]) == set(b"x")


def test_silent_connections_make_place_for_others(cat):
    """As many as like to: whoever says hello is served."""
    path = worker.input_socket_path(cat.runtime_dir, SESSION)
    assert serves(cat)
    with contextlib.ExitStack() as stack:
        for _ in range(3 * MAX_CLIENTS):
            stack.enter_context(connect_seqpacket(path))
        assert serves(cat)


def test_a_thousand_connections(cat):
    """Opened and closed at once, with and without a word: nothing is left of them in the worker."""
    path = worker.input_socket_path(cat.runtime_dir, SESSION)
    assert serves(cat)
    for number in range(1000):
        with connect_seqpacket(path) as connection:
            if number % 2:
                connection.send(encode(Hello()))
    assert serves(cat)
    cat.until(lambda: cat.worker_sockets() == 1, look_every_s=0.002)


def test_one_client_too_many(cat):
    """All places taken by clients that behave: the next one is told, they stay."""
    clients = [cat.connect() for _ in range(MAX_CLIENTS)]
    late = cat.connect_silently()
    cat.until(lambda: late.closed)
    assert f"{MAX_CLIENTS} clients" in late.goodbye
    requests = [(client, client.type(b"x")) for client in clients]
    cat.until(lambda: all(client.has_answers([request]) for client, request in requests))
    clients[0].close()
    assert serves(cat)


@pytest.mark.parametrize("io", Io)
def test_gone_in_the_middle_of_a_paste(rig, io, fifo):
    """Of what it did not wait to be told, any number of inputs has gone in, each of them whole; others go on."""
    script = f"read x < {fifo}; exec cat"
    session = rig(["sh", "-c", f"stty raw -echo 2>&-; echo ready; {script}"], io=io)
    session.until(lambda: session.out.data == b"ready\n")
    client = session.connect()
    client.paste(b"z" * (1 << 20))
    client.close()
    session.connect().type(b"the end")
    with open(fifo, "w") as go:
        go.write("go\n")
    session.until(lambda: session.out.data.endswith(b"the end"))
    pasted = session.out.data.removeprefix(b"ready\n").removesuffix(b"the end")
    assert pasted == b"z" * len(pasted)
    assert pasted
    assert len(pasted) % MAX_INPUT_BYTES == 0


def test_the_socket_is_ours_alone(cat):
    """Mode 0600, whatever the umask."""
    cat.connect()
    assert os.stat(worker.input_socket_path(cat.runtime_dir, SESSION)).st_mode & 0o777 == 0o600
