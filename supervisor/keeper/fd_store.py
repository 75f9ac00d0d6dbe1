"""Terminals and pipes of sessions, kept by systemd, too: for when the keeper and a worker are killed at once.

Otherwise keeper and workers hold them, each for the other (see borrowing.py).

Facts. systemd keeps what the main process sends it with FDSTORE=1 (FileDescriptorStoreMax=), and passes all of it on at
each start, behind fd 2, names in LISTEN_FDNAMES; what is kept stays kept until it is taken out by name. With FDPOLL=0
also while nobody holds the other end, as it is when no program has the terminal open. A terminal that is kept does not
hang up, and a pipe has no end of file: so what we close is taken out at once. A name has at most 255 characters, and no
colon.

Trade-off. systemd may be busy, and its socket full: then this one fd is not kept, which is said, and matters only if
keeper and worker die together.
"""

import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence

from childproc.job import PipeFds, PtyFds
from supervisor.keeper.starter import tell_starter
from supervisor.keeper.table import Run

_FIRST_FD = 3
_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
_TERMINAL = ("master",)
_PIPES = ("stdin", "stdout", "stderr")
Send = Callable[[str, Sequence[int]], None]


def systemd(environ: Mapping[str, str], pid: int) -> Send | None:
    """None: this is not the main process of a service."""
    return tell_starter if environ.get("SYSTEMD_EXEC_PID") == str(pid) else None


class FdStore:
    """`send`: words, and fds with them, to the service manager. None: there is none that keeps any."""

    def __init__(self, send: Send | None) -> None:
        self._send = send

    def keep(self, session: str, epoch: int, fds: PtyFds | PipeFds | None) -> None:
        self._keep(named(session, epoch, fds))

    def _keep(self, fds: Mapping[str, int]) -> None:
        if self._send:
            for name, fd in fds.items():
                self._send(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", (fd,))

    def go_on(self, stored: Mapping[str, int], runs: Mapping[str, Run]) -> None:
        """With what was taken back, and was found to be under way."""
        wanted: dict[str, int] = {}
        for session, run in runs.items():
            wanted |= named(session, run.epoch, run.fds)
        self._forget(stored.keys() - wanted.keys())
        self._keep({name: fd for name, fd in wanted.items() if name not in stored})

    def drop(self, session: str, epoch: int, names: Iterable[str]) -> None:
        self._forget(fd_name(session, epoch, stream) for stream in names)

    def _forget(self, names: Iterable[str]) -> None:
        if self._send:
            for name in names:
                self._send(f"FDSTOREREMOVE=1\nFDNAME={name}", ())


def streams(fds: PtyFds | PipeFds | None) -> dict[str, int]:
    """By name; only those that are open."""
    match fds:
        case PtyFds(master=master):
            return {"master": master}
        case PipeFds(stdin=stdin, stdout=stdout, stderr=stderr):
            named = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
            return {name: fd for name, fd in named.items() if fd >= 0}
        case None:
            return {}


def named(session: str, epoch: int, fds: PtyFds | PipeFds | None) -> dict[str, int]:
    return {fd_name(session, epoch, stream): fd for stream, fd in streams(fds).items()}


def fd_name(session: str, epoch: int, stream: str) -> str:
    return f"{session}.{epoch}.{stream}"


def taken_back(environ: MutableMapping[str, str], pid: int) -> dict[str, int]:
    """What the service manager passed on, by name. The variables go: no child is to believe they are for it."""
    count, whose, names = (environ.pop(name, "") for name in _VARIABLES)
    if whose != str(pid) or not count.isdigit():
        return {}
    found: dict[str, int] = {}
    for fd, name in zip(range(_FIRST_FD, _FIRST_FD + int(count)), names.split(":"), strict=False):
        os.set_inheritable(fd, False)
        if name in found:
            os.close(fd)
        else:
            found[name] = fd
    return found


def stored_streams(stored: Mapping[str, int], session: str, epoch: int) -> PtyFds | PipeFds | None:
    """Of one epoch, if what must be there is. stdin may have been closed."""
    fds = {stream: stored.get(fd_name(session, epoch, stream), -1) for stream in (*_TERMINAL, *_PIPES)}
    if fds["master"] >= 0:
        return PtyFds(fds["master"])
    if fds["stdout"] >= 0 and fds["stderr"] >= 0:
        return PipeFds(fds["stdin"], fds["stdout"], fds["stderr"])
    return None
