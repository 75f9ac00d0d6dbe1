"""A template of the installed code: exec'ed, since what is forked has what the keeper has loaded.

`argv --template CONNECTION STDERR` is called with stderr in memory, so that its last words can be read when it fails;
once everything is imported it speaks where all others speak.
"""

import os
import socket
from collections.abc import Callable, Iterable, Sequence

from supervisor.keeper import template
from supervisor.keeper.forking import fork_detached
from supervisor.keeper.last_words import in_one_line

TEMPLATE = "--template"
LOAD_MAX_S = 30.0
_LAST_WORDS_BYTES = 8000


class Loading:
    """Over once, for better or worse."""

    def __init__(self, pid: int, connection: socket.socket, words: int) -> None:
        self.pid = pid
        self.connection = connection
        self._words = words
        self._tell: Callable[[str], None] | None = None

    def when_over(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def over(self, why_not: str) -> None:
        """ "": it is ready."""
        tell, self._tell = self._tell, None
        if tell is None:
            return
        said = in_one_line(os.pread(self._words, _LAST_WORDS_BYTES, 0).decode(errors="replace"))
        os.close(self._words)
        tell(f"{why_not}: {said}" if why_not and said else why_not)


def exec_template(argv: Sequence[str]) -> Loading:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words, stderr = os.memfd_create("last-words", os.MFD_CLOEXEC), os.dup(2)
    fds = (theirs.fileno(), stderr)

    def body() -> None:
        os.dup2(words, 2)
        for fd in fds:
            os.set_inheritable(fd, True)
        os.execv(argv[0], [*argv, TEMPLATE, *map(str, fds)])  # noqa: S606 - to be another image is the point

    try:
        pid = fork_detached(body, (*fds, words))
    except OSError:
        ours.close()
        os.close(words)
        raise
    finally:
        theirs.close()
        os.close(stderr)
    ours.setblocking(False)
    return Loading(pid, ours, words)


def be_template(connection_fd: int, stderr_fd: int, preload: Iterable[str]) -> None:
    """In the new image."""
    os.set_inheritable(connection_fd, False)
    modules = tuple(preload)
    template.import_quietly(modules)
    os.dup2(stderr_fd, 2)
    os.close(stderr_fd)
    with socket.socket(fileno=connection_fd) as connection:
        template.run(connection, modules, os.getppid())
