"""PATH, HOME and LANG as a user's login shell has them: where nvm, pyenv and ~/.local/bin put themselves.

These tools write to ~/.profile, ~/.bashrc or ~/.zshrc, and the usual ~/.bashrc returns at once unless its shell is
interactive. So the shell is run as both (`-l -i`) and asked for its environment between two marks that no greeting of
a profile can imitate.

What may go wrong there is not in our hands, hence: a session of its own (an interactive shell could otherwise take our
terminal, or stop itself), stdin from /dev/null (a profile that asks gets EOF), a size limit, and at the end the whole
process group is killed, as background jobs of a profile keep the pipe open. Nobody waits for it here: it is whoever
asks that watches the fd, and gives up in time.
"""

import contextlib
import os
import secrets
import signal
import subprocess

from config.accounts import Account

WANTED = ("PATH", "HOME", "LANG")
MAX_OUTPUT_BYTES = 1024 * 1024
_CHUNK_BYTES = 65536
_PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LoginShellError(Exception):
    pass


class Asking:
    """A login shell that runs. `take` what it says whenever its fd is readable, then `end` it."""

    def __init__(self, account: Account) -> None:
        self._mark = secrets.token_hex(16)
        self._who = f"{account.shell}, the login shell of {account.name}"
        self._received = b""
        script = f"printf %s {self._mark}; /usr/bin/env -0; printf %s {self._mark}"
        try:
            self._shell = _start(account, script)
        except (OSError, subprocess.SubprocessError) as failure:
            raise LoginShellError(f"cannot run {self._who}: {failure}") from failure
        os.set_blocking(self.fileno(), False)

    def fileno(self) -> int:
        assert self._shell.stdout is not None  # noqa: S101 - we asked for the pipe
        return self._shell.stdout.fileno()

    def take(self) -> dict[str, str] | None:
        """The answer, once it is complete. LoginShellError when it never will be."""
        try:
            chunk = os.read(self.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return None
        self._received += chunk
        parts = self._received.split(self._mark.encode(), 2)
        if len(parts) > 2:
            return parse_environment(parts[1])
        if not chunk or len(self._received) >= MAX_OUTPUT_BYTES:
            raise LoginShellError(f"{self._who}, did not tell its environment")
        return None

    def too_slow(self, timeout_s: float) -> LoginShellError:
        return LoginShellError(f"{self._who}, did not tell its environment within {timeout_s:g} s")

    def end(self) -> None:
        """The group is ours alone: start_new_session made it, and its number is not reused before we wait."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        if self._shell.stdout is not None:
            self._shell.stdout.close()


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
