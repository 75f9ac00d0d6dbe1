"""A supervisor that breaks the protocol is disconnected with the reason, and replaced; programs run on."""

import os

import msgspec
import pytest

from childproc.spec import ProgramSpec
from ipc.ring_spec import RingSpec
from supervisor.keeper import packets
from supervisor.keeper.messages import (
    Ack,
    Create,
    Done,
    Forget,
    Goodbye,
    Hello,
    Shutdown,
    Signal,
    Start,
    Started,
    encode,
)
from tests.support.keeper import program

LIES = {
    "not msgpack": (b"\xc1", "invalid"),
    "no such message": (msgspec.msgpack.encode({"type": "Destroy"}), "Destroy"),
    "a field of the wrong type": (msgspec.msgpack.encode({"type": "Ack", "seq": "one"}), "seq"),
    "a field too many": (msgspec.msgpack.encode({"type": "Ack", "seq": 0, "more": 1}), "more"),
    "a name that leaves the directory": (encode(Forget(1, "../etc")), "session"),
    "an epoch before the first": (encode(Start(1, "s", 0, program("true"))), "epoch"),
    "a signal that does not exist": (encode(Signal(1, "s", 1, 65)), "signum"),
    "no program at all": (encode(Start(1, "s", 1, ProgramSpec((), {}))), "argv"),
    "what was never reported": (encode(Ack(99)), "never sent"),
    "Hello again": (encode(Hello(1)), "once"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_ends_the_conversation_and_nothing_else(keeper, supervisor, lie):
    """The reason is told and logged; the next supervisor finds the program running."""
    packet, reason = LIES[lie]
    supervisor.create("s")
    supervisor.start("s", 1, program("cat"))
    pid = supervisor.expect(Started).pid
    packets.send(supervisor.channel, packet)
    assert reason.lower() in supervisor.expect(Goodbye).reason.lower()
    assert supervisor.receive() is None
    supervisor.close()
    assert keeper.supervisor().hello().sessions[0].pid == pid
    assert "disconnecting the supervisor" in keeper.stderr()


@pytest.mark.parametrize(("first", "reason"), [(Ack(0), "must be Hello"), (Hello(999), "speaks version 999")])
def test_the_first_word_is_a_greeting_in_our_version(keeper, first, reason):
    """Anything else is refused before it is looked at."""
    supervisor = keeper.supervisor()
    supervisor.send(first)
    assert reason in supervisor.expect(Goodbye).reason


def test_fds_are_not_accepted(keeper, supervisor):
    """They would fill the keeper's table."""
    fds = keeper.fds()
    packets.send(supervisor.channel, encode(Forget(1, "s")), [2])
    assert "fds" in supervisor.expect(Goodbye).reason
    supervisor.close()
    keeper.supervisor().hello()
    assert len(keeper.fds()) == len(fds)


def test_one_who_does_not_read_is_replaced(keeper, supervisor):
    """It asks and asks; the keeper stops reading it, keeps little for it, and others are served as ever."""
    supervisor.channel.setblocking(False)
    with pytest.raises(BlockingIOError):  # noqa: PT012 - which one of them fills both queues is the kernel's business
        for rid in range(100_000):
            supervisor.send(Forget(rid, "x" * 100))
    with open(f"/proc/{keeper.pid}/status") as status:
        (peak_kib,) = [int(line.split()[1]) for line in status if line.startswith("VmRSS")]
    assert peak_kib < 60_000
    supervisor.close()
    assert keeper.supervisor().hello().sessions == []


def test_mistakes_are_answered_and_forgiven(keeper, supervisor):
    """What is well said but not possible is refused with the reason, and the conversation goes on."""
    supervisor.create("s")
    assert supervisor.ask(Create, "s", RingSpec(1)) == Done(supervisor._rid)
    assert "another ring" in supervisor.refusal(Create, "s", RingSpec(2)).reason
    assert "slot 1 is taken" in supervisor.refusal(Create, "t", RingSpec(1)).reason
    assert "does not exist" in supervisor.refusal(Create, "t", RingSpec(-1)).reason
    assert "no session" in supervisor.refusal(Start, "ghost", 1, program("true")).reason
    os.mkdir(f"{keeper.ring_dir}/blocked.ring")
    assert supervisor.refusal(Create, "blocked", RingSpec(5)).errno != 0
    assert "no session" in supervisor.refusal(Forget, "blocked").reason
    supervisor.start("s", 1, program("cat"))
    supervisor.expect(Started)
    assert "stop them first" in supervisor.refusal(Shutdown, leave=False).reason
