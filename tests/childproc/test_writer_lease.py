"""One of several claimants types; the others are held back, and are told when that changes."""

from childproc.worker import input_socket_path
from childproc.writer_lease import WriterLease
from ipc.worker_messages import Claim, FromWorker, Lease, Refusal, Refused, Written
from tests.support.worker_client import WorkerClient
from tests.support.worker_process import SESSION, WorkerRig


def test_the_first_claimant_writes_and_the_next_inherits() -> None:
    lease = WriterLease()
    for client in (1, 2, 3):
        lease.claim(client, steal=False)
    assert (lease.writer, lease.bars(1), lease.bars(2), lease.bars(3)) == (1, False, True, True)
    lease.leave(1)
    assert lease.writer == 2


def test_stealing_goes_to_the_head_of_the_line() -> None:
    lease = WriterLease()
    for client in (1, 2):
        lease.claim(client, steal=False)
    lease.claim(2, steal=True)
    assert (lease.writer, lease.bars(1)) == (2, True)
    lease.leave(2)
    assert lease.writer == 1


def test_who_never_claims_is_not_held_back() -> None:
    lease = WriterLease()
    lease.claim(1, steal=False)
    assert not lease.bars(2)


def test_claiming_twice_is_claiming_once() -> None:
    lease = WriterLease()
    lease.claim(1, steal=False)
    lease.claim(1, steal=False)
    lease.leave(1)
    assert lease.writer is None


class Typist(WorkerClient):
    """A client that claims the session."""

    def __init__(self, session: WorkerRig, *, steal: bool = False) -> None:
        super().__init__(input_socket_path(session.runtime_dir, SESSION))
        session.clients.append(self)
        self.leases: list[bool] = []
        self.hello()
        self.send(Claim(steal))
        session.until(lambda: self.leases)

    def _take(self, message: FromWorker) -> None:
        if isinstance(message, Lease):
            self.leases.append(message.held)
        else:
            super()._take(message)


def test_only_the_writer_is_heard(rig) -> None:
    session = rig(["cat"])
    sender, first, second = session.connect(), Typist(session), Typist(session)
    assert (first.leases, second.leases) == ([True], [False])
    requests = [first.type(b"a"), second.type(b"b"), sender.type(b"c")]
    session.until(lambda: first.answers and second.answers and sender.answers)
    assert isinstance(first.answers[requests[0]], Written)
    assert second.answers[requests[1]] == Refused(requests[1], Refusal.NOT_WRITER, 0, 0)
    assert isinstance(sender.answers[requests[2]], Written)


def test_the_robbed_and_the_heir_are_told(rig) -> None:
    session = rig(["cat"])
    session.connect()
    first = Typist(session)
    thief = Typist(session, steal=True)
    session.until(lambda: first.leases == [True, False])
    assert thief.leases == [True]
    thief.close()
    session.until(lambda: first.leases == [True, False, True])
    request = first.type(b"a")
    session.until(lambda: first.answers)
    assert isinstance(first.answers[request], Written)
