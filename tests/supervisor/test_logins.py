"""Login shells that hang, fail and answer, beside everything else."""

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from config.accounts import Account
from config.login_shell import LoginShellError
from supervisor.control.messages import Act, Verb
from supervisor.daemon.logins import AT_ONCE, Logins
from supervisor.keeper.loop import Loop
from tests.support.changes import wait_until
from tests.support.daemon import running_daemon

ANSWERS = 'while [ "$1" != -c ]; do shift; done; eval "$2"'
HANGS = "echo $$ >> $HOME/asked; exec sleep 1000"
Maker = Callable[[str], Account]


@pytest.fixture
def account_with(tmp_path: Path) -> Maker:
    numbers = itertools.count()

    def make(script: str) -> Account:
        path = tmp_path / f"shell-{next(numbers)}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return Account("ann", os.getuid(), os.getgid(), (), str(tmp_path), str(path))

    return make


def turn_until(loop: Loop, holds: Callable[[], bool]) -> None:
    while not holds():
        loop.run_once()


def test_an_answer_is_known_to_all_who_wait_and_asked_for_once(account_with: Maker, tmp_path: Path) -> None:
    loop, told = Loop(), list[int]()
    logins = Logins(loop)
    account = account_with(f"echo $$ >> $HOME/asked; export PATH=/login; {ANSWERS}")
    for number in range(3):
        logins.ask(account, lambda number=number: told.append(number))  # type: ignore[misc]
    assert not logins.knows(account)
    turn_until(loop, lambda: len(told) == 3)
    assert logins.environment(account)["PATH"] == "/login"
    assert (tmp_path / "asked").read_text().count("\n") == 1
    logins.forget()
    assert not logins.knows(account)
    loop.close()


def test_one_that_hangs_is_given_up_and_killed_and_delays_nobody_else(account_with: Maker, tmp_path: Path) -> None:
    loop, told = Loop(), list[str]()
    logins = Logins(loop, timeout_s=0.5)
    hanging, answering = account_with(HANGS), account_with(ANSWERS)
    logins.ask(hanging, lambda: told.append("hanging"))
    logins.ask(answering, lambda: told.append("answering"))
    turn_until(loop, lambda: len(told) == 2)
    assert told == ["answering", "hanging"]
    with pytest.raises(LoginShellError, match=r"did not tell its environment within 0\.5 s"):
        logins.environment(hanging)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "asked").read_text()), 0)
    loop.close()


def test_only_some_run_at_once_and_what_cannot_run_is_no_hole_in_the_queue(account_with: Maker, tmp_path: Path) -> None:
    loop, told = Loop(), list[str]()
    logins = Logins(loop, timeout_s=0.3)
    accounts = [account_with(HANGS) for _ in range(AT_ONCE)]
    gone = account_with("exit")
    os.unlink(gone.shell)
    accounts += [gone, account_with(ANSWERS)]
    for account in accounts:
        logins.ask(account, lambda account=account: told.append(account.shell))  # type: ignore[misc]
    turn_until(loop, lambda: len(told) == len(accounts))
    assert set(told[-2:]) >= {accounts[-1].shell}
    assert (tmp_path / "asked").read_text().count("\n") == AT_ONCE
    with pytest.raises(LoginShellError, match="cannot run"):
        logins.environment(gone)
    loop.close()


SESSIONS = """
[session.patient]
command = ["sh", "-c", "echo $PATH > path; exec sleep 1000"]
cwd = "{here}"
login_env = true
start_seconds = 0.1

[session.other]
command = ["sleep", "1000"]
start_seconds = 0.1
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="another login shell takes another /etc/passwd")
def test_a_session_waits_for_its_login_shell_alone(tmp_path: Path) -> None:
    """The others start meanwhile; who is stopped before is stopped at once; a killed supervisor asks again."""
    go = tmp_path / "go"
    shell = tmp_path / "shell"
    os.mkfifo(go)
    shell.write_text(f"#!/bin/sh\nread go < {go}; export PATH=/login:$PATH; {ANSWERS}\n")
    shell.chmod(0o755)
    passwd = tmp_path / "passwd"
    passwd.write_text(f"root:x:0:0:root:/root:{shell}\n")
    wrapper = ("unshare", "--mount", "sh", "-c", f'mount --bind {passwd} /etc/passwd && exec "$@"', "sh")
    with running_daemon(tmp_path, f"login-{os.getpid()}", SESSIONS, wrapper=wrapper) as daemon:
        daemon.wait_state("other", "RUNNING")
        assert (daemon.session("patient").state, daemon.session("patient").pid) == ("STARTING", 0)
        assert [outcome.result for outcome in daemon.act(Verb.STOP, "patient")] == ["stopped"]
        daemon.stream(Act(1, Verb.START, ["patient"], wait=False))
        daemon.wait_state("patient", "STARTING")
        os.kill(daemon.status().fleet.processes["supervisor"], signal.SIGKILL)
        daemon.wait_state("patient", "STARTING")
        with go.open("w") as gate:
            gate.write("go\n" * 10)
            gate.flush()
            daemon.wait_state("patient", "RUNNING")
        wait_until(str(tmp_path), (tmp_path / "path").exists)
        assert (tmp_path / "path").read_text().startswith("/login:")
