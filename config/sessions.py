"""A merged session table becomes the sessions it makes.

The keys of all three ways to connect a program may stand in [defaults] and templates; where a session is of another
kind, those inherited are not its business. Written in the session's own table, they are a mistake.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct, structs

from config.connections import IoKind, PipeIo, PtyIo, SshIo
from config.instances import Instance, instances_of
from config.kinds import INVALID, Scope, absolute
from config.located import Node
from config.model import SessionMaking, SessionSpec
from config.output import RingSpec
from config.tables import KeyField, keys_of, read_keys
from config.units import power_of_two_at_least
from config.values import NAME

IO_SPECS: Final[Mapping[IoKind, type[Struct]]] = {IoKind.PTY: PtyIo, IoKind.PIPE: PipeIo, IoKind.SSH: SshIo}
_SPECS: Final[tuple[type[Struct], ...]] = (SessionMaking, *IO_SPECS.values(), SessionSpec)
_HOSTS: Final = ("host", "hosts")
_LOCAL: Final = (IoKind.PTY, IoKind.PIPE)
_ONLY_FOR: Final = dict.fromkeys(_HOSTS, (IoKind.SSH,)) | dict.fromkeys(("user", "login_env"), _LOCAL)
"""Keys that belong to some kinds of session, besides those of their connection. The user on a host is the host's."""
PLACEHOLDERS: Final = {"name": "name", "n": "0", "group": "group"}


class Draft(Struct, frozen=True, eq=False):
    """A session and the table it was read from, for checks that have to say where."""

    spec: SessionSpec
    node: Node


def session_keys() -> dict[str, KeyField]:
    """Every key that a session table may have, one way to connect or another."""
    keys: dict[str, KeyField] = {}
    for spec in _SPECS:
        keys |= keys_of(spec)
    return keys


def check_layer(node: Node, scope: Scope) -> None:
    """The values of a table that makes no session itself: each must be right, and none must be there."""
    for spec in _SPECS:
        read_keys(spec, node, scope)


def make_sessions(table: str, node: Node, base: Scope, scale: int | None) -> Iterator[Draft]:
    """`base.names` says what {fleet} is; each session adds its own. `scale` overrules the number of instances."""
    making = _making(table, node, base)
    if making is None:
        return
    instances = making.instances if scale is None else scale
    if instances == 0:
        check_layer(node, structs.replace(base, names={**base.names, **PLACEHOLDERS}, is_sparse=True))
    for made in instances_of(table, instances, making.hosts):
        spec = _session(table, made, making, node, base)
        if spec is not None:
            yield Draft(spec, node)


def _making(table: str, node: Node, base: Scope) -> SessionMaking | None:
    scope = structs.replace(base, names={**base.names, **PLACEHOLDERS, "name": table})
    values = read_keys(SessionMaking, node, scope)
    if values is INVALID:
        return None
    making = SessionMaking(**values)
    _refuse_foreign(making.io, node, scope)
    if making.io is IoKind.SSH:
        _require_host(making, node, scope)
    elif "command" not in node.table:
        scope.report.error(node.place, 'lacks "command"')
    return making


def _refuse_foreign(io: IoKind, node: Node, scope: Scope) -> None:
    for key, item in node.table.items():
        kinds = tuple(kind for kind, spec in IO_SPECS.items() if key in keys_of(spec))
        kinds = _ONLY_FOR.get(key, kinds)
        is_own = item.place.path[0] == "session"
        if kinds and io not in kinds and is_own:
            needed = " or ".join(f'io = "{kind}"' for kind in kinds)
            scope.report.error(item.place, f'needs {needed}; this session has io = "{io}"')


def _require_host(making: SessionMaking, node: Node, scope: Scope) -> None:
    if making.host and making.hosts:
        scope.report.error(node.at("hosts"), 'cannot stand beside "host"')
    elif not node.table.keys() & set(_HOSTS):
        scope.report.error(node.place, 'lacks "host" or "hosts", which io = "ssh" needs')


def _session(table: str, made: Instance, making: SessionMaking, node: Node, base: Scope) -> SessionSpec | None:
    scope = structs.replace(base, names={**base.names, "name": made.name, "n": str(made.number)})
    group = _group(table, node, scope)
    scope = structs.replace(scope, names={**scope.names, "group": group})
    values = read_keys(SessionSpec, node, scope)
    connection = read_keys(IO_SPECS[making.io], node, scope)
    if values is INVALID or connection is INVALID:
        return None
    if making.io is IoKind.SSH:
        connection["host"] = made.host or making.host
    values["group"] = group
    values["io"] = IO_SPECS[making.io](**connection)
    values["cwd"] = _cwd(values.get("cwd", ""), making.io, node, scope)
    values["ring"] = _ring(values.get("ring", RingSpec()), node, scope)
    return SessionSpec(name=made.name, table=table, number=made.number, **values)


def _group(table: str, node: Node, scope: Scope) -> str:
    if "group" not in node.table:
        return table
    group = NAME.read(node.table["group"], scope)
    return group if isinstance(group, str) else table


def _cwd(written: str, io: IoKind, node: Node, scope: Scope) -> str:
    """A directory on another host is that host's business."""
    if io is IoKind.SSH:
        return written
    return absolute(written, node.at("cwd").source.directory, scope.home)


def _ring(ring: RingSpec, node: Node, scope: Scope) -> RingSpec:
    size_bytes, max_size_bytes = (power_of_two_at_least(size) for size in (ring.size_bytes, ring.max_size_bytes))
    table = node.table.get("ring", node)
    if size_bytes > max_size_bytes:
        if "size" in table.table:
            scope.report.error(table.at("size"), f"is more than max_size, {max_size_bytes} bytes")
        size_bytes = max_size_bytes
    for key, written, rounded in (
        ("size", ring.size_bytes, size_bytes),
        ("max_size", ring.max_size_bytes, max_size_bytes),
    ):
        if key in table.table and written != rounded:
            scope.report.warn(table.at(key), f"{written} bytes are rounded to a power of two, {rounded}")
    return structs.replace(ring, size_bytes=size_bytes, max_size_bytes=max_size_bytes)
