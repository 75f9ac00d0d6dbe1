"""Fleets written back as TOML, in full: the way that the product itself never needs to go."""

import enum
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from config.documents import TOP_LEVEL
from config.env_value import SecretFile
from config.health import HealthAction, HealthCheck, parse_action
from config.hosts import HostSpec
from config.kinds import Command, Kind, OrFalse
from config.model import Fleet, FleetSettings, HookSpec, Percent, SessionSpec, SshIo
from config.tables import keys_of
from config.units import signal_name
from config.values import UNLIMITED


def written(fleet: Fleet) -> dict[str, Any]:
    """The tables that mean this fleet."""
    return {
        "fleet": table(fleet, FleetSettings),
        "hook": {name: table(hook, HookSpec) for name, hook in fleet.hooks.items()},
        "host": {name: host_table(host) for name, host in fleet.hosts.items() if not host.is_from_ssh_config},
        "session": {name: session_table(session) for name, session in fleet.sessions.items()},
    }


def session_table(session: SessionSpec) -> dict[str, Any]:
    keys = {
        "io": session.io.__struct_config__.tag,
        **table(session.io, type(session.io)),
        **table(session, SessionSpec),
    }
    if isinstance(session.io, SshIo):
        keys = {key: item for key, item in keys.items() if key not in ("user", "login_env")}
        keys["host"] = session.io.host
    return {key: item for key, item in keys.items() if item != "" or key == "cwd"}


def host_table(host: HostSpec) -> dict[str, Any]:
    keys = table(host, HostSpec)
    tried = {kind.value: keys.pop(kind.value) for kind in host.credentials}
    for kind in ("key", "password_file", "agent", "certificate"):
        keys.pop(kind, None)
    return {key: item for key, item in (tried | keys).items() if item != ""}


def table(spec: Struct, of: type[Struct]) -> dict[str, Any]:
    found = {}
    for key in keys_of(of).values():
        value = getattr(spec, key.attribute)
        if value is None and isinstance(key.kind, OrFalse):
            found[key.name] = False
        elif value is not None and not (value == () and isinstance(key.kind, Command)):
            found[key.name] = plain(value, key.attribute, key.kind)
    return found


def plain(value: Any, attribute: str = "", kind: Kind | None = None) -> Any:
    match value:
        case enum.Enum():
            return value.value
        case HealthAction():
            return action(value)
        case Percent():
            return f"{value.value}%"
        case SecretFile():
            return {"file": escaped(value.path)}
        case HealthCheck():
            return {"type": value.__struct_config__.tag, **table(value, type(value))}
        case Struct():
            return table(value, type(value))
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case tuple() if isinstance(kind, Command):
            return [escaped_word(word) for word in value]
        case tuple():
            return [plain(item) for item in value]
        case str():
            return escaped(value)
        case float() if attribute.endswith("_percent"):
            return f"{value}%"
        case int() if value == UNLIMITED and kind is not None and "unlimited" in str(kind.schema()):
            return "unlimited"
    return value


def action(value: HealthAction) -> str:
    argument = signal_name(value.signal) if value.signal else value.hook
    text = f"{value.kind.value}:{argument}" if argument else value.kind.value
    assert parse_action(text) == value
    return text


NAME = re.compile(r"(?<!\$)\{(name|n|group|fleet|here)\}")
NAME_OR_VARIABLE = re.compile(r"\{(name|n|group|fleet|here)\}|\$\{[A-Za-z_][A-Za-z0-9_]*(:-([^{}]|\{[^{}]*\})*)?\}")


def escaped(text: str) -> str:
    """The text that stands for this one."""
    return NAME_OR_VARIABLE.sub(lambda found: f"{{{found[0]}}}" if found[1] else f"${found[0]}", text)


def escaped_word(word: str) -> str:
    """In a command only names are replaced."""
    return NAME.sub(r"{{\1}}", word)


def to_toml(tables: Mapping[str, Any]) -> str:
    return "\n".join(lines_of(tables)) + "\n"


def lines_of(tables: Mapping[str, Any]) -> Iterator[str]:
    for kind in TOP_LEVEL:
        if kind == "fleet":
            yield "[fleet]"
            yield from assignments(tables.get("fleet", {}))
        elif kind in tables:
            for name, keys in tables[kind].items():
                yield f"[{kind}.{quoted(name)}]"
                yield from assignments(keys)


def assignments(keys: Mapping[str, Any]) -> Iterator[str]:
    for key, item in keys.items():
        yield f"{quoted(key)} = {inline(item)}"


def inline(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{quoted(key)} = {inline(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(inline, value)) + "]"
        case str():
            return quoted(value)
    return repr(value)


def quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}
    return '"' + "".join(escapes.get(letter, letter) for letter in text) + '"'
