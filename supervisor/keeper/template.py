"""The process that router and supervisor are forked from: it imported what they need, once.

    keeper ──fork──> template ──fork──> middle ──fork──> service
                         ^                 └ exits: the service's parent is the keeper, the next subreaper
                         └ waits for the middle, then lets the service look for its parent

So the keeper stays small, a crash never loads code from disk (a `pip install` may be half done), and a service
starts in milliseconds. The service talks through a gate like a program: P with its pid, then it waits for G. A twin of
the template is made in the same way: when the template is killed, nothing is loaded either.
"""

import functools
import gc
import importlib
import os
import socket
import sys
from collections.abc import Callable, Iterable

import msgspec

from supervisor.keeper import packets
from supervisor.keeper.containment import enter
from supervisor.keeper.forking import fork_detached
from supervisor.keeper.messages import VERSION, WaitStatus

WORDS = "words"  # an fd for a service's last ones, if somebody wants to read them
TWIN = "twin"  # asked for in place of a service: another template, with what this one has loaded
READY = b"P"
GO = b"G"
OUR_PACKAGES = ("supervisor", "childproc", "ipc", "config")
MAX_BYTES = 1 << 20


class ServiceJob(msgspec.Struct, frozen=True):
    """What a service's entry function is called with."""

    name: str
    args: tuple[str, ...]
    fds: dict[str, int]
    predecessor: WaitStatus | None  # how the last one ended, None for the first
    speaks: int = VERSION  # the keeper, to its supervisor


class ForkRequest(msgspec.Struct, frozen=True):
    name: str
    entry: str  # module:function
    args: tuple[str, ...]
    fd_names: tuple[str, ...]  # of the fds that come with the request, after the gate
    predecessor: WaitStatus | None
    containment: tuple[str, ...] = ()
    speaks: int = VERSION


def run(connection: socket.socket, preload: Iterable[str], keeper_pid: int) -> None:
    """Until the keeper closes its end."""
    import_quietly(preload)
    gc.freeze()
    _serve(connection, _fingerprint(), keeper_pid)


def _serve(connection: socket.socket, fingerprint: bytes, keeper_pid: int) -> None:
    packets.send(connection, b"%d\n" % os.getpid() + fingerprint)
    while packet := packets.receive(connection, MAX_BYTES):
        request = msgspec.msgpack.decode(packet.payload, type=ForkRequest)
        if request.name == TWIN:
            _fork_twice(functools.partial(_be_twin, packet.fds[0], fingerprint), packet.fds, keeper_pid)
        else:
            _fork_twice(functools.partial(_become_service, request, packet.fds), packet.fds, keeper_pid)
        packets.close_all(packet.fds)


def _be_twin(connection_fd: int, fingerprint: bytes, keeper_pid: int) -> None:
    with socket.socket(fileno=connection_fd) as connection:
        _serve(connection, fingerprint, keeper_pid)


def import_quietly(modules: Iterable[str]) -> None:
    """OpenBLAS starts a thread when numpy is imported, unless told not to; the services need not see that."""
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for module in modules:
        importlib.import_module(module)
    if before is None:
        del os.environ["OPENBLAS_NUM_THREADS"]
    else:
        os.environ["OPENBLAS_NUM_THREADS"] = before


def _fingerprint() -> bytes:
    """Of the files that our modules were loaded from, as they are now."""
    lines = []
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0] in OUR_PACKAGES:
            status = os.stat(file)
            lines.append(f"{name} {status.st_ino} {status.st_size} {status.st_mtime_ns}\n")
    return "".join(lines).encode()


def _fork_twice(become: Callable[[int], None], fds: tuple[int, ...], keeper_pid: int) -> None:
    orphaned, orphan = os.pipe2(os.O_CLOEXEC)

    def body() -> None:
        os.read(orphaned, 1)  # its end: the middle was reaped, or the template died
        os.close(orphaned)
        if os.getppid() != keeper_pid:
            raise SystemExit("the keeper is gone")
        become(keeper_pid)

    def middle() -> None:
        fork_detached(body, (*fds, orphaned))

    os.waitpid(fork_detached(middle, (*fds, orphaned)), 0)
    os.close(orphan)
    os.close(orphaned)


def _become_service(request: ForkRequest, fds: tuple[int, ...], _keeper_pid: int) -> None:
    gate, *own_fds = fds
    os.write(gate, READY + b"%d" % os.getpid())
    if os.read(gate, 1) != GO:
        return
    os.close(gate)
    enter(request.containment)
    named = dict(zip(request.fd_names, own_fds, strict=True))
    try:
        resolve(request.entry)(ServiceJob(request.name, request.args, named, request.predecessor, request.speaks))
    except Exception as error:
        if WORDS in named:
            os.write(named[WORDS], f"{type(error).__name__}: {error}".encode(errors="replace"))
        raise


def resolve(entry: str) -> Callable[[ServiceJob], None]:
    module, _, function = entry.partition(":")
    found: Callable[[ServiceJob], None] = getattr(importlib.import_module(module), function)
    return found


def fork_template(preload: Iterable[str]) -> tuple[int, socket.socket]:
    """Its pid, and the connection to it: a fingerprint comes back when it is ready."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper_pid = os.getpid()

    def body() -> None:
        run(theirs, preload, keeper_pid)

    try:
        pid = fork_detached(body, (theirs.fileno(),))
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    return pid, ours
