"""Memory order between processes, from pure Python.

Facts. On x86-64 stores stay in order and loads stay in order, and each access through a `memoryview` cast to 'Q' is
one aligned `mov` behind an indirect call that no compiler reorders. So payload, descriptor, commit word, stored in
that order, are seen in that order; what the kernel copied in `readv` counts as stored before the call returned. The
one thing that x86-64 does reorder is a store followed by a load of another word: that is how wake-ups are lost, and
pins missed. On AArch64 nothing is ordered. `struct.pack_into` zeroes its target first and must never touch a word
that another process reads; a plain item store is what this package uses.

Design. `membarrier(GLOBAL_EXPEDITED)` puts a full barrier into every running thread of every registered process,
and so lets the rare side pay for the frequent one: whoever goes to sleep, or is about to overwrite what others may
be reading, calls `barrier()` between its store and its load; the hot side calls nothing. On AArch64 a reader also
calls `settle()` once for each batch, after it has seen a new commit word and before it trusts what that word
promises.

Trade-off. 1 to 3 microseconds for each sleep, reclaim and (AArch64 only) batch, against a compiled helper with
acquire and release instructions. The explorer in the tests proves both forms; AArch64 hardware was not at hand.
"""

import ctypes
import os
import platform

_SYSCALL_MEMBARRIER = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "ppc64le": 365, "s390x": 356}
_GLOBAL_EXPEDITED = 2
_REGISTER_GLOBAL_EXPEDITED = 4

_machine = platform.machine()
_number = _SYSCALL_MEMBARRIER.get(_machine)
# PyDLL keeps the GIL: the call takes about a microsecond, less than giving the lock away and fetching it again.
_libc = ctypes.PyDLL(None, use_errno=True)
_registered_pid = 0

STORES_ARE_ORDERED = _machine in {"x86_64", "AMD64", "i686"}


class BarrierUnavailableError(OSError):
    """The kernel or a seccomp filter refuses membarrier(2), without which a wake-up can be lost."""


def _membarrier(command: int) -> int:
    if _number is None:
        raise BarrierUnavailableError(f"ringvisor does not know membarrier(2) on {_machine}")
    result: int = _libc.syscall(_number, command, 0, 0)
    if result < 0:
        number = ctypes.get_errno()
        raise BarrierUnavailableError(
            number, f"membarrier(2) refused: {os.strerror(number)}; allow it in the container's seccomp profile"
        )
    return result


def register() -> None:
    """Make this process one that a barrier reaches; once in each process that maps a ring, repeated after a fork."""
    global _registered_pid  # noqa: PLW0603 - registration belongs to the process, as the kernel keeps it
    pid = os.getpid()
    if _registered_pid != pid:
        _membarrier(_REGISTER_GLOBAL_EXPEDITED)
        _registered_pid = pid


def barrier() -> None:
    """A full barrier here and in every registered thread that is running now."""
    _membarrier(_GLOBAL_EXPEDITED)


def settle() -> None:
    """After loading a commit word: everything stored before it is visible."""
    if not STORES_ARE_ORDERED:
        _membarrier(_GLOBAL_EXPEDITED)
