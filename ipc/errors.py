"""What can go wrong between processes, split by whose fault it is.

IpcError
├── RingError           a ring file cannot be used
│   ├── RingVersion     made by another version of ringvisor
│   ├── RingCorrupt     its words contradict each other
│   └── RingBusy        a living writer has it
├── RingMemory          no room for a ring: /dev/shm or the fleet's cap is used up
└── ProtocolError       a peer broke the protocol, and is to be disconnected

UNREADABLE is what msgspec raises for bytes that are no message: bad UTF-8 and bottomless nesting have errors of their
own.
"""

UNREADABLE = (ValueError, RecursionError)


class IpcError(Exception):
    pass


class RingError(IpcError):
    pass


class RingVersion(RingError):  # noqa: N818 - the names are states of a ring, the base class says error
    pass


class RingCorrupt(RingError):  # noqa: N818 - as above
    pass


class RingBusy(RingError):  # noqa: N818 - as above
    pass


class RingMemory(IpcError):  # noqa: N818 - as above
    pass


class ProtocolError(IpcError):
    pass
