"""The slot for our own side: every benchmark asks here, and leaves our rows out while there is nothing.

`fleet()` returns an object that satisfies `tests.bench.fleet.Fleet` (keeper, workers and router around the jobs it is
given; salvage on), and `transport()` one that satisfies `tests.bench.channel.Transport` (a ring between two
processes); `gathering_transport()` is the one that takes many messages at once. Roles in `Fleet.pids` that the tables
know by name: "router", "worker", "keeper", "supervisor"."""

from tests.bench.channel import Transport
from tests.bench.fleet import Fleet
from tests.bench.our_fleet import OurFleet
from tests.bench.our_ring import OurRing

NAME = "ringvisor"


def fleet() -> Fleet | None:
    return OurFleet()


def transport() -> Transport | None:
    return OurRing()


def gathering_transport() -> Transport | None:
    return OurRing(gathers=True)
