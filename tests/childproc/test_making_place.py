"""A worker that is asked to makes place for the next one: between two frames, and no input is lost or doubled."""

import os

from childproc.job import MADE_PLACE
from childproc.spec import Io
from childproc.worker_record import path_of
from ipc import ring_layout as at
from ipc.frames import EndReason, Kind
from tests.support.worker_process import SESSION, actor, lines

PASTE = lines(200_000)  # more than a pipe holds


def test_replaced_again_and_again_under_full_load(rig):
    """Nothing has to be salvaged, and one epoch has one beginning and one end."""
    size = 24 << 20
    session = rig([actor(), "exit", str(size), "raw"], max_bytes=1 << 18)
    for _ in range(20):
        session.connect().close()
        heard = len(session.out.data)
        session.until(lambda heard=heard: len(session.out.data) > heard)
        assert session.have_worker_replaced() == MADE_PLACE
    assert session.program_status is None, "the program ended before the last one"
    session.until_ended()
    assert session.out.data == lines(size)
    assert (session.words()[at.W_SALVAGED], session.out.gaps, session.ledger.end()) == (0, [], EndReason.EOF)
    assert [kind for kind in session.ledger.kinds() if kind is not Kind.RESIZE] == [Kind.BEGIN, Kind.END]


def reader_of(fifo: str) -> list[str]:
    """It reads its input once somebody has written into the FIFO."""
    return ["sh", "-c", f"read go < {fifo}; exec cat"]


def let_read(fifo: str) -> None:
    with open(fifo, "w") as go:
        go.write("go\n")


def test_input_that_waits_goes_in_once(rig, fifo):
    """What a client has that is still there it sends again, from where it is told; what one that is gone had sent was
    handed over; what nobody had read yet counts as sent."""
    session = rig(reader_of(fifo), io=Io.PIPE)
    gone, there = session.connect(), session.connect()
    gone.paste(PASTE)
    session.until(lambda: session.words()[at.W_INPUT_OFFSET], look_every_s=0.002)
    session.until_idle_for(0.05)
    gone.close()
    there.type(b"typed\n")
    assert session.have_worker_replaced() == MADE_PLACE
    session.until(lambda: there.closed)
    went_in = session.words()[at.W_INPUT_OFFSET]
    assert there.answers[0].input_offset == went_in
    again = session.connect()
    assert (again.greeting.input_offset, again.greeting.in_doubt_bytes) == (went_in, 0)
    again.type(b"typed\n")
    let_read(fifo)
    session.until(lambda: session.out.data.endswith(b"typed\n"))
    assert session.out.data == PASTE + b"typed\n"


def test_a_half_written_input_is_continued_by_its_client(rig, fifo):
    """The one whose write was cut learns how much of it has gone in, although others wrote before it."""
    session = rig(reader_of(fifo), io=Io.PIPE)
    other, client = session.connect(), session.connect()
    request = other.type(b"before\n")
    session.until(lambda: request in other.answers)
    pieces = client.paste(PASTE)
    session.until(lambda: session.words()[at.W_INPUT_OFFSET] > len(b"before\n"), look_every_s=0.002)
    session.have_worker_replaced()
    session.until(lambda: client.closed)
    went_in = session.words()[at.W_INPUT_OFFSET] - len(b"before\n")
    last_told = client.answers[0].input_offset
    again = session.connect()
    of_its_own = again.greeting.input_offset - last_told  # of those that it has no answer for
    answered = sum(65536 for piece in pieces if piece in client.answers)
    assert answered + of_its_own == went_in
    again.paste(PASTE[answered + of_its_own :])
    let_read(fifo)
    session.until(lambda: len(session.out.data) >= len(PASTE) + len(b"before\n"))
    assert session.out.data == b"before\n" + PASTE


def test_an_end_of_file_stays_behind_what_it_closes(rig, fifo):
    """It is said once, and so goes to the next worker, with all that stands before it."""
    session = rig(reader_of(fifo), io=Io.PIPE)
    client = session.connect()
    client.paste(PASTE)
    client.end_input()
    session.until(lambda: session.words()[at.W_INPUT_OFFSET], look_every_s=0.002)
    session.have_worker_replaced()
    session.until(lambda: client.closed)
    greeting = session.connect().greeting
    assert greeting.input_offset - client.answers[0].input_offset == len(PASTE) - 65536 * (len(client.answers) - 1)
    session.close_stdin()
    let_read(fifo)
    session.until_ended()
    assert session.out.data == PASTE


def test_what_another_epoch_left_is_not_typed(rig):
    """A file that a killed keeper left behind is read by nobody."""
    session = rig(["cat"], worker_too=False)
    path = path_of(session.runtime_dir, SESSION, "input")
    with open(path, "wb") as file:
        file.write(b"\x83\xa5epoch\x09\xa6inputs\x91\xc4\x03no\n\xa6closes\xc2")
    session.start_worker()
    client = session.connect()
    client.type(b"yes\n")
    session.until(lambda: session.out.data.count(b"yes") == 2)
    assert b"no" not in session.out.data
    assert not os.path.exists(path)
