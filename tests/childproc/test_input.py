"""Clients' bytes reach the program: whole, in order, never blocking, every one of them answered."""

import hashlib

import pytest

from childproc.feeder import INPUT_LIMIT_BYTES
from childproc.input_queue import CANONICAL_LINE_BYTES
from childproc.spec import Io
from ipc import ring_layout as at
from ipc.frames import EndReason
from ipc.worker_messages import Discarded, Refusal, Refused, Written
from tests.support.worker_process import lines

MEGABYTE = lines(1 << 20)


@pytest.fixture
def typing(rig):
    """`typing(script)`: a shell on a terminal with these modes, ready; and a client of it."""

    def start(script: str, modes: str = "raw -echo", **settings):
        session = rig(["sh", "-c", f"stty {modes}; echo ready; {script}"], **settings)
        session.until(lambda: b"ready" in session.out.data)
        session.out.data.clear()
        return session, session.connect()

    return start


@pytest.fixture
def piping(rig):
    def start(script: str, **settings):
        session = rig(["sh", "-c", script], io=Io.PIPE, **settings)
        return session, session.connect()

    return start


# ---- it arrives


def test_a_megabyte_arrives_whole_while_as_much_flows_back(typing):
    """No deadlock, although the program blocks in its own writes; the last answer counts every byte."""
    session, client = typing("exec cat")
    requests = client.paste(MEGABYTE)
    session.until(lambda: client.has_answers(requests) and len(session.out.data) == len(MEGABYTE))
    assert client.answers[requests[-1]] == Written(requests[-1], len(MEGABYTE))
    assert session.out.data == MEGABYTE


def test_a_megabyte_with_echo(typing):
    """The terminal writes all of it back, and drops of that what it has no room for; the program gets every byte."""
    session, client = typing(f"head -c {len(MEGABYTE)} | sha256sum; exec sleep 1000", "raw echo")
    client.paste(MEGABYTE)
    digest = hashlib.sha256(MEGABYTE).hexdigest().encode()
    session.until(lambda: digest in session.out.data[-200:])


def test_a_megabyte_through_a_pipe(piping):
    """And nobody reads back meanwhile: the program is held back, the input waits, nothing is lost."""
    session, client = piping("exec cat")
    session.reading = False
    requests = client.paste(MEGABYTE)
    session.until(session.is_held_back, look_every_s=0.002)
    session.reading = True
    session.until(lambda: client.has_answers(requests) and len(session.out.data) == len(MEGABYTE))
    assert session.out.data == MEGABYTE


@pytest.mark.parametrize("io", Io)
def test_binary_bytes(typing, piping, io):
    """All 256 of them, as they are."""
    session, client = typing("exec cat") if io is Io.PTY else piping("exec cat")
    every = bytes(range(256)) * 3
    client.type(every)
    session.until(lambda: session.out.data == every)


def test_each_input_stays_in_one_piece(piping):
    """Two clients at once: their messages come in any order, and whole."""
    session, first = piping("exec cat")
    second = session.connect()
    for number in range(200):
        first.type(b"A%06d" % number + b"a" * 1000 + b"\n")
        second.type(b"B%06d" % number + b"b" * 3000 + b"\n")
    session.until(lambda: len(session.out.data) == 200 * (1008 + 3008))
    messages = session.out.data.splitlines()
    for letter, filling in ((b"A", b"a" * 1000), (b"B", b"b" * 3000)):
        mine = [bytes(message) for message in messages if message.startswith(letter)]
        assert mine == [letter + b"%06d" % number + filling for number in range(200)]


def test_an_empty_input_is_answered(piping):
    """It has gone in as soon as all before it has."""
    session, client = piping("exec cat")
    request = client.type(b"")
    session.until(lambda: client.has_answers([request]))
    assert client.answers[request] == Written(request, 0)


# ---- it cannot arrive


@pytest.mark.parametrize("io", Io)
def test_a_program_that_never_reads(typing, piping, io):
    """The queue fills to its limit, the rest is refused with numbers; the worker sleeps, and serves others."""
    script = "exec sleep 1000"
    session, client = typing(script) if io is Io.PTY else piping(script)
    requests = client.paste(b"x" * (INPUT_LIMIT_BYTES + (1 << 20)))
    session.until(lambda: requests[-1] in client.answers)
    refused = [answer for answer in client.answers.values() if isinstance(answer, Refused)]
    assert len(refused) >= 14
    for answer in refused:
        assert (answer.reason, answer.limit_bytes) == (Refusal.FULL, INPUT_LIMIT_BYTES)
        assert INPUT_LIMIT_BYTES - (1 << 16) < answer.queued_bytes <= INPUT_LIMIT_BYTES
    session.until_idle_for(0.2)
    assert session.connect().greeting


def test_a_line_too_long_for_its_terminal(typing):
    """5000 bytes are refused and not cut at 4095; 4095 arrive."""
    session, client = typing("exec cat", "-echo")
    longest = b"x" * CANONICAL_LINE_BYTES + b"\n"
    cut = client.type(b"y" * 5000 + b"\n")
    whole = client.type(longest)
    session.until(lambda: len(session.out.data) == len(longest) + 1 and client.has_answers([cut, whole]))
    assert session.out.data == longest.replace(b"\n", b"\r\n")
    assert client.answers[cut] == Refused(cut, Refusal.LINE_TOO_LONG, 0, INPUT_LIMIT_BYTES)
    assert isinstance(client.answers[whole], Written)


def test_lines_end_where_the_terminal_says(typing):
    """Without translation of returns they end no line, and what they would have joined is refused."""
    session, client = typing("exec cat", "-echo -icrnl")
    request = client.type((b"z" * 3000 + b"\r") * 2)
    session.until(lambda: client.has_answers([request]))
    assert client.answers[request].reason is Refusal.LINE_TOO_LONG


# ---- end of file


def test_the_end_of_file_of_a_terminal(typing):
    """Its present character, typed; `cat` ends, and so does the session."""
    session, client = typing("exec cat", "-echo eof ^A")
    client.type(b"last\n")
    client.end_input()
    session.until_ended()
    assert (session.out.data, session.program_status) == (b"last\r\n", 0)


@pytest.mark.parametrize("keeper_first", [True, False])
def test_the_end_of_file_of_a_pipe(piping, fifo, keeper_first):
    """Behind all that is queued, and only once every copy of the pipe is closed: the worker's and the keeper's."""
    session, client = piping(f"read x < {fifo}; exec cat")
    requests = client.paste(MEGABYTE)
    if keeper_first:
        session.close_stdin()
    requests.append(client.end_input())
    if not keeper_first:
        session.close_stdin()
    with open(fifo, "w") as go:
        go.write("go\n")
    session.until_ended()
    session.until(lambda: client.closed)
    assert session.out.data == MEGABYTE
    assert isinstance(client.answers[requests[-1]], Written)


def test_no_input_after_the_end_of_it(piping):
    """Refused, whoever asks; the session goes on."""
    session, client = piping("exec sleep 1000")
    client.end_input()
    other = session.connect()
    request = other.type(b"too late")
    again = client.end_input()
    session.until(lambda: other.has_answers([request]) and client.has_answers([again]))
    assert other.answers[request].reason is client.answers[again].reason is Refusal.CLOSED


def test_a_program_that_closes_its_stdin(piping):
    """EPIPE kills nobody: what was sent is discarded, what comes later refused."""
    session, client = piping("exec 0<&-; echo closed; exec sleep 1000")
    session.until(lambda: session.out.data == b"closed\n")
    worker = session.worker_pid
    first = client.type(b"anybody?")
    session.until(lambda: client.has_answers([first]))
    second = client.type(b"really nobody?")
    session.until(lambda: client.has_answers([second]))
    assert client.answers[first] == Discarded(first)
    assert client.answers[second].reason is Refusal.CLOSED
    assert (session.worker_pid, session.worker_status) == (worker, None)


def test_what_is_queued_at_the_end_is_answered(typing):
    """The session ends with input unread: its senders are told before the worker goes."""
    session, client = typing("exec sleep 1000")
    requests = client.paste(MEGABYTE)
    session.until(lambda: session.words()[at.W_INPUT_OFFSET], look_every_s=0.002)
    session.kill_program()
    session.until_ended()
    session.until(lambda: client.closed)
    assert client.has_answers(requests)
    assert isinstance(client.answers[requests[-1]], Discarded)
    assert session.ledger.end() is EndReason.EOF
