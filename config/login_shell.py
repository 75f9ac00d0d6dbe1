"""PATH, HOME and LANG as a user's login shell has them: where nvm, pyenv and ~/.local/bin put themselves.

These tools write to ~/.profile, ~/.bashrc or ~/.zshrc, and the usual ~/.bashrc returns at once unless its shell is
interactive. So the shell is run as both (`-l -i`), once for each user, and asked for its environment between two marks
that no greeting of a profile can imitate.

What may go wrong there is not in our hands, hence: a session of its own (an interactive shell could otherwise take our
terminal, or stop itself), stdin from /dev/null (a profile that asks gets EOF), a time limit, a size limit, and at the
end the whole process group is killed, as background jobs of a profile keep the pipe open.

Blocks for up to `timeout_s`; whoever cannot wait calls it where one can. Failures are remembered too: a thousand
sessions of a user whose shell hangs wait for it once.
"""

import contextlib
import os
import secrets
import selectors
import signal
import subprocess
import time

from config.accounts import Account

WANTED = ("PATH", "HOME", "LANG")
MAX_OUTPUT_BYTES = 1024 * 1024
_PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LoginShellError(Exception):
    pass


class LoginShells:
    """What each user's login shell said, asked once."""

    def __init__(self, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._known: dict[tuple[int, str], dict[str, str] | LoginShellError] = {}

    def environment(self, account: Account) -> dict[str, str]:
        key = (account.uid, account.shell)
        if key not in self._known:
            try:
                self._known[key] = ask_login_shell(account, self._timeout_s)
            except LoginShellError as failure:
                self._known[key] = failure
        known = self._known[key]
        if isinstance(known, LoginShellError):
            raise known
        return known

    def forget(self) -> None:
        """Ask again: profiles change."""
        self._known.clear()


def ask_login_shell(account: Account, timeout_s: float) -> dict[str, str]:
    mark = secrets.token_hex(16)
    script = f"printf %s {mark}; /usr/bin/env -0; printf %s {mark}"
    try:
        shell = _start(account, script)
    except (OSError, subprocess.SubprocessError) as failure:
        raise LoginShellError(f"cannot run {account.shell}, the login shell of {account.name}: {failure}") from failure
    try:
        output = _read_until_second(mark.encode(), shell, time.monotonic() + timeout_s)
    finally:
        _end(shell)
    if output is None:
        why = f"did not tell its environment within {timeout_s:g} s"
        raise LoginShellError(f"{account.shell}, the login shell of {account.name}, {why}")
    return parse_environment(output)


def parse_environment(output: bytes) -> dict[str, str]:
    """WANTED out of what `env -0` printed."""
    pairs = (os.fsdecode(entry).partition("=") for entry in output.split(b"\0"))
    return {name: value for name, _, value in pairs if name in WANTED}


def _start(account: Account, script: str) -> subprocess.Popen[bytes]:
    is_other = account.uid != os.getuid()
    return subprocess.Popen(
        [account.shell, "-l", "-i", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=account.home if os.path.isdir(account.home) else "/",
        env=_bare_environment(account),
        user=account.uid if is_other else None,
        group=account.gid if is_other else None,
        extra_groups=account.groups if is_other else None,
    )


def _bare_environment(account: Account) -> dict[str, str]:
    who = {"HOME": account.home, "USER": account.name, "LOGNAME": account.name, "SHELL": account.shell}
    return {**who, "PATH": _PLAIN_PATH, "TERM": "dumb"}


def _read_until_second(mark: bytes, shell: subprocess.Popen[bytes], deadline: float) -> bytes | None:
    """What stands between the marks; None if the second one never came."""
    assert shell.stdout is not None  # noqa: S101 - we asked for the pipe
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(shell.stdout, selectors.EVENT_READ)
        while received.count(mark) < 2 and len(received) < MAX_OUTPUT_BYTES:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            chunk = os.read(shell.stdout.fileno(), 65536)
            if not chunk:
                return None
            received += chunk
    parts = received.split(mark)
    return parts[1] if len(parts) > 2 else None


def _end(shell: subprocess.Popen[bytes]) -> None:
    """The group is ours alone: start_new_session made it, and its number is not reused before we wait."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    if shell.stdout is not None:
        shell.stdout.close()
