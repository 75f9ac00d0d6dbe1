"""Writes the units where systemd looks, tells systemd, and takes them away again.

A file that we did not write is left alone. Steps that can fail without harm say so and go on; what systemd refuses
ends the command.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from supervisor.install.units import MARK, Locations, Service

_TEMPLATES = ("fleet.service", "sessions.service", "sysusers.conf", "tmpfiles.conf")
_SYSTEMD_MAX_S = 600.0  # a fleet may take its time to stop
Say = Callable[[str], None]


class CannotInstallError(Exception):
    """The message is one line, and says what to do."""


def read_templates() -> dict[str, str]:
    directory = _template_directory()
    return {name: directory.joinpath(name).read_text(encoding="utf-8") for name in _TEMPLATES}


def _template_directory() -> Traversable:
    """Beside this file in a wheel; in a clone, which is installed as it stands, where its readers look for it."""
    packaged = files("supervisor.install").joinpath("systemd")
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "systemd"


def install(service: Service, where: Locations, contents: Mapping[str, str], say: Say, *, now: bool) -> None:
    for path, content in contents.items():
        _write(path, content, say)
    for command in follow_up(service, where, now=now):
        _run(command, say)


def follow_up(service: Service, where: Locations, *, now: bool) -> list[list[str]]:
    made = [["systemd-sysusers", where.sysusers]] if where.sysusers else []
    made += [["systemd-tmpfiles", "--create", where.tmpfiles]] if where.tmpfiles else []
    enable = [*systemctl(service), "enable", *(["--now"] if now else []), service.main_unit]
    return [*made, [*systemctl(service), "daemon-reload"], enable]


def systemctl(service: Service) -> list[str]:
    return ["systemctl", "--user"] if service.is_users else ["systemctl"]


def uninstall(service: Service, where: Locations, say: Say) -> None:
    """Its sessions are stopped in order first."""
    units = [f"{where.units}/{service.main_unit}", f"{where.units}/{service.sessions_unit}"]
    if not any(os.path.exists(path) for path in units):
        raise CannotInstallError(f"there is no {units[0]}: --name says what the service is called")
    for path in units:
        _ours_or_absent(path)
    _run([*systemctl(service), "disable", "--now", service.main_unit], say)
    _run([*systemctl(service), "stop", service.sessions_unit], say)
    for path in units:
        _remove(path, say)
    if not _others(where):
        for path in (where.sysusers, where.tmpfiles):
            if path and _ours_or_absent(path):
                _remove(path, say)
    _run([*systemctl(service), "daemon-reload"], say)


def _others(where: Locations) -> list[str]:
    """Units of other fleets."""
    names = [name for name in os.listdir(where.units) if name.endswith("-sessions.service")]
    return [name for name in names if _is_ours(f"{where.units}/{name}")]


def _write(path: str, content: str, say: Say) -> None:
    _ours_or_absent(path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        unnamed = f"{path}.new"
        with open(unnamed, "w", encoding="utf-8") as file:
            file.write(content)
        os.rename(unnamed, path)
    except OSError as error:
        raise CannotInstallError(f"{path} cannot be written: {error.strerror}") from error
    say(f"written: {path}")


def _ours_or_absent(path: str) -> bool:
    """Whether it is there."""
    if not os.path.lexists(path):
        return False
    if not _is_ours(path):
        raise CannotInstallError(f"{path} was not written by ringctl install-service: move it away, or use --name")
    return True


def _is_ours(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().startswith(MARK)
    except OSError:
        return False


def _remove(path: str, say: Say) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        say(f"removed: {path}")


def _run(command: Sequence[str], say: Say) -> None:
    words = " ".join(command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SYSTEMD_MAX_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstallError(f"{words}: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise CannotInstallError(f"{words} failed with {done.returncode}: {said}")
    say(f"done: {words}")
