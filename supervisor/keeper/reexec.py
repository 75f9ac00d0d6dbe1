"""The keeper becomes newer code: same pid, same children, same open files.

Facts. exec keeps pid, children, subreaper flag, signal mask and pending signals, and every fd that is not CLOEXEC. It
drops handlers, mappings, epoll sets (ours is CLOEXEC) and all that Python knew. There is no way back once it succeeded.

Design. The table travels in a memfd. First a child tries the new code with the real state (`--dry FD`): if it cannot
read it, or is not done in time, everything stays as it is and its last words are the reason. Then all signals are
held back, what our own wake-up pipe still holds is noted, and the process becomes `argv --resume FD`, whose first act
is to sweep the children.
"""

import os
import signal
from collections.abc import Callable, Iterable, Sequence

from supervisor.keeper.children import Children, Death
from supervisor.keeper.forking import fork_detached
from supervisor.keeper.last_words import in_one_line
from supervisor.keeper.loop import Loop
from supervisor.keeper.messages import Exited
from supervisor.keeper.packets import write_all

DRY = "--dry"
RESUME = "--resume"
DRY_RUN_MAX_S = 30.0
_LAST_WORDS_BYTES = 8000


def into_memory(state: bytes) -> int:
    memory = os.memfd_create("keeper-state", os.MFD_CLOEXEC)
    write_all(memory, state)
    return memory


def from_memory(memory: int) -> bytes:
    return os.pread(memory, os.fstat(memory).st_size, 0)


def try_dry(
    argv: Sequence[str], state: bytes, children: Children, loop: Loop, on_result: Callable[[str, str], None]
) -> None:
    """on_result is called with why not, or with "" and what the code said."""
    memory, words = into_memory(state), os.memfd_create("last-words", os.MFD_CLOEXEC)
    answer = os.memfd_create("answer", os.MFD_CLOEXEC)
    is_slow: list[int] = []

    def body() -> None:
        os.dup2(answer, 1)
        os.dup2(words, 2)
        os.set_inheritable(memory, True)
        _exec(argv, DRY, memory)

    def on_death(death: Death) -> None:
        running.clear()
        said, last = (from_memory(fd)[-_LAST_WORDS_BYTES:].decode(errors="replace") for fd in (answer, words))
        os.close(answer)
        os.close(words)
        why_not = in_one_line(last) or (f"it took over {DRY_RUN_MAX_S:g} s" if is_slow else str(death.status))
        on_result("" if death.status == Exited(0) else f"the installed code fails its dry run: {why_not}", said)

    def too_slow() -> None:
        for pid in running:
            is_slow.append(pid)
            os.kill(pid, signal.SIGKILL)

    try:
        running = [fork_detached(body, (memory, words, answer))]
    finally:
        os.close(memory)
    children.expect(running[0], on_death)
    loop.call_in(DRY_RUN_MAX_S, too_slow)


def become(argv: Sequence[str], snapshot: Callable[[], tuple[bytes, Iterable[int]]]) -> None:
    """Returns only by the exception of a failed exec, and then nothing has changed."""
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    state, open_fds = snapshot()
    memory = into_memory(state)
    fds = (memory, *open_fds)
    try:
        for fd in fds:
            os.set_inheritable(fd, True)
        _exec(argv, RESUME, memory)
    finally:
        for fd in fds:
            os.set_inheritable(fd, False)
        os.close(memory)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _exec(argv: Sequence[str], mode: str, memory: int) -> None:
    os.execv(argv[0], [*argv, mode, str(memory)])  # noqa: S606 - becoming another image is the point
