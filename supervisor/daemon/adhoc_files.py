"""Sessions from the command line, each as a file of the fleet: [session.NAME], read besides what the fleet file names.

    <state_dir>/run/NAME.toml      kept: part of the fleet until it is removed, also after a reboot
    <runtime_dir>/run/NAME.toml    passing: gone when it has ended, or when this ringvisord has
    NAME.draft                     on its way in or out

Two files say what runs: this one, and the fleet as it is applied. A supervisor may die between the two, so that who
comes or goes is a draft meanwhile, and the applied fleet decides what becomes of it.
"""

import contextlib
import json
import os
from collections.abc import Collection, Iterable
from typing import NamedTuple

from config.expand import escaped, escaped_names
from supervisor.fleet_place import passing_sessions_dir

_SUFFIX = ".toml"
_DRAFT = ".draft"


class AdHocSession(NamedTuple):
    name: str
    command: list[str]
    cwd: str
    env: dict[str, str]
    is_piped: bool
    is_kept: bool

    def as_toml(self) -> str:
        """One that passes is not started again; all else is as the fleet's defaults have it."""
        lines = [
            f"[session.{_quoted(self.name)}]",
            f"group = {_quoted(self.name)}",
            f"command = [{', '.join(_quoted(escaped_names(word)) for word in self.command)}]",
            f"cwd = {_quoted(escaped(self.cwd))}",
            "autostart = true",
        ]
        lines += ['io = "pipe"'] if self.is_piped else []
        lines += [] if self.is_kept else ['restart = "never"']
        variables = ", ".join(f"{_quoted(name)} = {_quoted(escaped(value))}" for name, value in self.env.items())
        lines += [f"env = {{ {variables} }}"] if variables else []
        return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


class AdHocFiles:
    def __init__(self, state_dir: str, runtime_dir: str) -> None:
        self._kept = f"{state_dir}/run"
        self._passing = passing_sessions_dir(runtime_dir)

    def paths(self) -> list[str]:
        return [f"{directory}/{name}{_SUFFIX}" for directory, name in self._all(_SUFFIX)]

    def passing(self) -> list[str]:
        return [name for directory, name in self._all(_SUFFIX) if directory == self._passing]

    def draft(self, session: AdHocSession) -> str:
        """Its path. Nothing comes of it unless it is kept."""
        directory = self._kept if session.is_kept else self._passing
        os.makedirs(directory, mode=0o700, exist_ok=True)
        path = f"{directory}/{session.name}{_DRAFT}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(session.as_toml())
            file.flush()
            os.fsync(fd)  # what is kept is kept through a loss of power
        return path

    def withdraw(self, names: Iterable[str]) -> None:
        """These are on their way out."""
        for name in names:
            self._rename(name, _SUFFIX, _DRAFT)

    def keep(self, name: str) -> None:
        self._rename(name, _DRAFT, _SUFFIX)

    def drop(self, names: Iterable[str]) -> None:
        """The drafts of these."""
        for name in names:
            for directory in (self._kept, self._passing):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{directory}/{name}{_DRAFT}")

    def settle(self, in_force: Collection[str]) -> None:
        """Of a supervisor that died: what had come is kept, what had gone is dropped."""
        drafts = [name for _, name in self._all(_DRAFT)]
        for name in drafts:
            if name in in_force:
                self.keep(name)
        self.drop(drafts)

    def _rename(self, name: str, old: str, new: str) -> None:
        for directory in (self._kept, self._passing):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{directory}/{name}{old}", f"{directory}/{name}{new}")

    def _all(self, suffix: str) -> list[tuple[str, str]]:
        found = []
        for directory in (self._kept, self._passing):
            with contextlib.suppress(FileNotFoundError):
                names = sorted(name for name in os.listdir(directory) if name.endswith(suffix))
                found += [(directory, name.removesuffix(suffix)) for name in names]
        return found
