"""A session's environment, put together at each start. Later ones win:

ringvisord's own, less what is ours        env_file, in the order named
HOME USER LOGNAME SHELL of its user        env, secrets read from their files
login_env: PATH HOME LANG                  (TERM of its terminal comes before env_file)
"""

from collections.abc import Callable, Mapping
from typing import Final

from config.accounts import Account
from config.connections import PipeIo
from config.env_file import read_env_file
from config.env_value import SecretFile
from config.errors import ConfigErrors, Problem
from config.login_shell import LoginShellError
from config.model import SessionSpec
from config.secrets import SecretError, read_secret

OURS: Final = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "FDSTORE")  # beginnings of what systemd tells us alone


Login = Callable[[Account], dict[str, str]]  # what the user's login shell said; LoginShellError where it said nothing


def inherited(own: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in own.items() if not name.startswith(OURS)}


def session_environment(spec: SessionSpec, own: Mapping[str, str], account: Account, login: Login) -> dict[str, str]:
    """Raises ConfigErrors with all that cannot be read."""
    problems: list[Problem] = []
    environment = inherited(own) | _identity(account)
    if spec.login_env:
        environment |= _login(account, login, problems)
    if not isinstance(spec.io, PipeIo) and spec.io.tty is not None:
        environment["TERM"] = spec.io.tty.term
    for path in spec.env_file:
        environment |= _file(path, problems)
    for name, value in spec.env.items():
        environment[name] = _secret(name, value, problems) if isinstance(value, SecretFile) else value
    if problems:
        raise ConfigErrors(problems)
    return environment


def _identity(account: Account) -> dict[str, str]:
    return {"HOME": account.home, "USER": account.name, "LOGNAME": account.name, "SHELL": account.shell}


def _login(account: Account, login: Login, problems: list[Problem]) -> dict[str, str]:
    try:
        return login(account)
    except LoginShellError as failure:
        problems.append(Problem(account.shell, 0, "login_env", str(failure)))
        return {}


def _file(path: str, problems: list[Problem]) -> dict[str, str]:
    values, wrong = read_env_file(path)
    problems.extend(wrong)
    return values


def _secret(name: str, secret: SecretFile, problems: list[Problem]) -> str:
    try:
        return read_secret(secret.path)
    except SecretError as failure:
        problems.append(Problem(secret.path, 0, f"env.{name}", str(failure)))
        return ""
