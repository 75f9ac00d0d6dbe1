"""Fleets from texts, in surroundings that are the same on every machine."""

from collections.abc import Mapping
from pathlib import Path

from config import ConfigErrors, Loaded, Surroundings, load
from config.model import SessionSpec

ENV = {"HOME": "/home/ann", "LANG": "C.UTF-8", "EMPTY": "", "PORT": "8080", "XDG_RUNTIME_DIR": "/run/user/7"}


def around(cwd: Path, **env: str) -> Surroundings:
    return Surroundings(env={**ENV, **env}, home="/home/ann", uid=1000, cwd=str(cwd))


def write(directory: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)


def load_text(directory: Path, text: str, files: Mapping[str, str] | None = None, **env: str) -> Loaded:
    write(directory, {"ringvisor.toml": text, **(files or {})})
    return load(around=around(directory, **env))


def errors_of(directory: Path, text: str, files: Mapping[str, str] | None = None) -> list[str]:
    """The lines that a user would read; empty when the fleet loads."""
    try:
        load_text(directory, text, files)
    except ConfigErrors as errors:
        return [str(problem) for problem in errors.problems]
    return []


def session(directory: Path, text: str, name: str = "a", **env: str) -> SessionSpec:
    return load_text(directory, text, **env).fleet.sessions[name]
