import os
import select
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import ConfigErrors
from config.accounts import Account, NoAccountError, find_account
from config.dotenv import DotenvError, parse_dotenv
from config.environment import session_environment
from config.login_shell import Asking, LoginShellError
from config.secrets import SecretError, read_secret
from tests.config.support import errors_of, load_text

PATIENCE_S = 20.0
ShellMaker = Callable[[str], Account]


@pytest.fixture
def account_with(tmp_path: Path) -> ShellMaker:
    """Makes an account whose login shell is a script."""

    def make(script: str) -> Account:
        shell = tmp_path / "shell"
        shell.write_text(f"#!/bin/sh\n{script}\n")
        shell.chmod(0o755)
        return Account("ann", os.getuid(), os.getgid(), (os.getgid(),), str(tmp_path), str(shell))

    return make


def ask_login_shell(account: Account) -> dict[str, str]:
    asking = Asking(account)
    try:
        while select.select([asking], [], [], PATIENCE_S)[0]:
            if (said := asking.take()) is not None:
                return said
    finally:
        asking.end()
    raise TimeoutError


RUN_SCRIPT = 'while [ "$1" != -c ]; do shift; done; eval "$2"'


def test_dotenv() -> None:
    """What shells, systemd and docker agree on."""
    text = """
# comment
A=plain text # comment
export B = 'single $X \\n "q"'   # c
C="double \\"q\\" \\n \\t \\\\ \\$X 'x'"
D=
E=a#b
F=# nothing
G="#no comment"
"""
    parsed = parse_dotenv(text)
    assert parsed.errors == ()
    assert parsed.values == {
        "A": "plain text",
        "B": 'single $X \\n "q"',
        "C": "double \"q\" \n \t \\ $X 'x'",
        "D": "",
        "E": "a#b",
        "F": "",
        "G": "#no comment",
    }


def test_dotenv_errors_name_their_lines() -> None:
    """All of them, and what is right is still read."""
    parsed = parse_dotenv('A=1\nB\n1C=2\nD=\'x\nE="x" y\r\nF=2\r\n')
    assert parsed.values == {"A": "1", "F": "2"}
    assert parsed.errors == (
        DotenvError(2, "is not NAME=value"),
        DotenvError(3, "is not NAME=value"),
        DotenvError(4, "has a quote that does not end its value on this line"),
        DotenvError(5, "has a quote that does not end its value on this line"),
    )


@given(st.text(max_size=60))
def test_dotenv_takes_any_text(text: str) -> None:
    """Each line is a value, nothing, or an error with its number."""
    parsed = parse_dotenv(text)
    lines = text.split("\n")
    assert all(1 <= error.line <= len(lines) for error in parsed.errors)
    assert len(parsed.values) + len(parsed.errors) <= len(lines)


def test_secret(tmp_path: Path) -> None:
    """One line end is not part of it; more are."""
    path = tmp_path / "token"
    for content, expected in ((b"x\n", "x"), (b"x", "x"), (b"x\r\n", "x"), (b" x\n\n", " x\n"), (b"", "")):
        path.write_bytes(content)
        path.chmod(0o600)
        assert read_secret(str(path)) == expected


@pytest.mark.parametrize(
    ("mode", "refused"), [(0o600, False), (0o640, False), (0o444, False), (0o620, True), (0o602, True), (0o666, True)]
)
def test_secret_that_others_can_write(tmp_path: Path, mode: int, refused: bool) -> None:  # noqa: FBT001 - a column of the table
    """Whoever can write it could choose what the program trusts."""
    path = tmp_path / "token"
    path.write_text("x")
    path.chmod(mode)
    if not refused:
        assert read_secret(str(path)) == "x"
        return
    with pytest.raises(SecretError, match=rf"others than its owner can write .* \(mode {mode:04o}\): chmod go-w"):
        read_secret(str(path))


def test_secrets_that_are_none(tmp_path: Path) -> None:
    """A directory, a pipe nobody writes to, a huge file, a NUL: each is said, none hangs."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "huge").write_bytes(b"x" * 65537)
    (tmp_path / "nul").write_bytes(b"a\0b")
    (tmp_path / "huge").chmod(0o600)
    (tmp_path / "nul").chmod(0o600)
    for name, message in {
        "none": "cannot read .*: No such file",
        "fifo": "is no regular file",
        "huge": "more than 65536 bytes",
        "nul": "holds a NUL byte",
        ".": "cannot read .*: Is a directory",
    }.items():
        with pytest.raises(SecretError, match=message):
            read_secret(str(tmp_path / name))


def test_files_are_looked_at_when_the_fleet_is_loaded(tmp_path: Path) -> None:
    """What would fail at the first start fails at `check`, and says where."""
    text = (
        '[session.a]\ncommand = "x"\nenv_file = [".env", "none"]\nuser = "nobody-of-this-name:x"\n'
        'env = { A = { file = "token" }, B = { file = "loose" } }\n'
    )
    loose = tmp_path / "loose"
    loose.write_text("x")
    loose.chmod(0o666)
    refused = f"others than its owner can write {loose} (mode 0666): chmod go-w {loose}"
    assert errors_of(tmp_path, text, {".env": "A=1\nnonsense\n"}) == [
        f"{tmp_path}/.env:2: env_file: is not NAME=value",
        f"ringvisor.toml:3: session.a.env_file[1]: {tmp_path}/none cannot be read: No such file or directory",
        'ringvisor.toml:4: session.a.user: this machine has no user "nobody-of-this-name"',
        f"ringvisor.toml:5: session.a.env.A.file: cannot read {tmp_path}/token: No such file or directory",
        f"ringvisor.toml:5: session.a.env.B.file: {refused}",
    ]


def test_world_readable_secret_is_a_warning(tmp_path: Path) -> None:
    """Container engines mount theirs so."""
    (tmp_path / "token").write_text("x")
    (tmp_path / "token").chmod(0o444)
    (warning,) = load_text(tmp_path, '[session.a]\ncommand = "x"\nenv = { A = { file = "token" } }\n').warnings
    assert (
        warning.message == f"everybody on this machine can read {tmp_path}/token (mode 0444): chmod o= {tmp_path}/token"
    )


def test_order_of_the_environment(tmp_path: Path, account_with: ShellMaker) -> None:
    """ringvisord's own less what systemd told it, the user, the login shell, the terminal, env_file, env."""
    account = account_with(f"export PATH=/login LANG=xx HOME=/login X=login; {RUN_SCRIPT}")
    text = (
        '[session.a]\ncommand = "x"\nlogin_env = true\nenv_file = ["1.env", "2.env"]\n'
        'env = { C = "env", S = { file = "s" }, HOME = "/env" }\n'
    )
    files = {"1.env": "A=one\nB=one\nC=one\nTERM=file\n", "2.env": "B=two\n", "s": "secret\n"}
    spec = load_text(tmp_path, text, files).fleet.sessions["a"]
    own = {"A": "own", "KEPT": "own", "PATH": "/own", "NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "1", "LISTEN_FDS": "3"}
    assert session_environment(spec, own, account, ask_login_shell) == {
        "A": "one",
        "B": "two",
        "C": "env",
        "KEPT": "own",
        "PATH": "/login",
        "LANG": "xx",
        "HOME": "/env",
        "USER": "ann",
        "LOGNAME": "ann",
        "SHELL": account.shell,
        "TERM": "file",
        "S": "secret",
    }


def test_what_cannot_be_read_at_a_start(tmp_path: Path, account_with: ShellMaker) -> None:
    """Files may be gone by then: all that is missing is said at once."""
    text = '[session.a]\ncommand = "x"\nlogin_env = true\nenv_file = ".env"\nenv = { S = { file = "s" } }\n'
    spec = load_text(tmp_path, text, {".env": "A=1\n", "s": "x"}).fleet.sessions["a"]
    (tmp_path / ".env").unlink()
    (tmp_path / "s").unlink()
    with pytest.raises(ConfigErrors) as caught:
        session_environment(spec, {}, account_with("exit 1"), ask_login_shell)
    assert [problem.key for problem in caught.value.problems] == ["login_env", "env_file", "env.S"]


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_real_login_shells(tmp_path: Path, shell: str) -> None:
    """A PATH that a profile extends is found, though the profile is noisy and asks questions."""
    if not os.path.exists(shell):
        pytest.skip(f"no {shell} here")
    profile = 'echo hello; read answer; sleep 1000 & echo $! > ~/job; PATH="$HOME/.local/bin:$PATH"\n'
    (tmp_path / ".profile").write_text(profile)
    account = Account("ann", os.getuid(), os.getgid(), (), str(tmp_path), shell)
    found = ask_login_shell(account)
    assert found["PATH"].startswith(f"{tmp_path}/.local/bin:")
    assert found["HOME"] == str(tmp_path)
    wait_until_gone(int((tmp_path / "job").read_text()))


def test_a_login_shell_that_is_given_up(account_with: ShellMaker) -> None:
    """It is killed with all it started."""
    account = account_with("sleep 1000 & echo $! > $HOME/job; echo x; wait")
    asking = Asking(account)
    select.select([asking], [], [], PATIENCE_S)
    assert asking.take() is None
    asking.end()
    wait_until_gone(int(Path(account.home, "job").read_text()))


@pytest.mark.parametrize("script", ["exit 0", "exec /bin/false", "yes", "kill -9 $$", "exec >&-"])
def test_login_shells_that_say_nothing_useful(account_with: ShellMaker, script: str) -> None:
    """No login shell at all (nologin), endless output, a crash: an error, within the time."""
    with pytest.raises(LoginShellError):
        ask_login_shell(account_with(script))


def test_login_shell_with_a_background_job(account_with: ShellMaker) -> None:
    """A job of the profile that keeps the pipe open delays nothing, and does not stay."""
    account = account_with(f"sleep 1000 & echo $! > {{}}; {RUN_SCRIPT}".replace("{}", "$HOME/job"))
    assert ask_login_shell(account)["HOME"] == account.home
    wait_until_gone(int(Path(account.home, "job").read_text()))


def wait_until_gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 20.0)[0], f"process {pid} is still there"
    finally:
        os.close(descriptor)


def test_accounts() -> None:
    """By name, by number, with a group, and our own."""
    own = find_account("")
    assert own.uid == os.getuid()
    root = find_account("root")
    assert (root.uid, find_account("0"), find_account("root:0").gid) == (0, root, 0)
    assert find_account("root:root").groups[0] == 0
    for user, message in (
        ("no-such-user", "no user"),
        ("root:no-such-group", "no group"),
        ("99999999999999", "no user"),
    ):
        with pytest.raises(NoAccountError, match=message):
            find_account(user)
