"""What a changed file means for a running fleet: which sessions come, go, change, and what each change takes."""

from collections.abc import Iterator

from msgspec import Struct

from config.hosts import HostSpec
from config.model import Fleet, FleetSettings, SessionSpec, SshIo
from config.tables import Applied, KeyField, keys_of


class KeyChange(Struct, frozen=True):
    key: str  # "limits.memory_max"
    applied: Applied


class SessionChange(Struct, frozen=True):
    name: str
    keys: tuple[KeyChange, ...]

    @property
    def applied(self) -> Applied:
        """The strongest that one of its keys needs."""
        return max((change.applied for change in self.keys), key=list(Applied).index)


class Plan(Struct, frozen=True):
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[SessionChange, ...]
    kept: tuple[str, ...]
    fleet: tuple[KeyChange, ...]  # of [fleet], hooks and profiles; RESTART: of ringvisord itself

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.removed or self.changed or self.fleet)


def diff(old: Fleet, new: Fleet) -> Plan:
    both = [name for name in new.sessions if name in old.sessions]
    changes = {name: tuple(_session_changes(old, new, name)) for name in both}
    return Plan(
        added=tuple(name for name in new.sessions if name not in old.sessions),
        removed=tuple(name for name in old.sessions if name not in new.sessions),
        changed=tuple(SessionChange(name, keys) for name, keys in changes.items() if keys),
        kept=tuple(name for name, keys in changes.items() if not keys),
        fleet=tuple(_fleet_changes(old, new)),
    )


def _session_changes(old: Fleet, new: Fleet, name: str) -> Iterator[KeyChange]:
    before, after = old.sessions[name], new.sessions[name]
    if type(before.io) is not type(after.io):
        yield KeyChange("io", Applied.RESTART)
    else:
        yield from _changes(type(after.io), before.io, after.io, "")
        yield from _host_changes(old, new, before, after)
    yield from _changes(SessionSpec, before, after, "")


def _changes(spec: type[Struct], old: Struct, new: Struct, prefix: str) -> Iterator[KeyChange]:
    for key in keys_of(spec).values():
        before, after = getattr(old, key.attribute), getattr(new, key.attribute)
        if before != after:
            yield from _key_changes(key, before, after, prefix)


def _key_changes(key: KeyField, before: object, after: object, prefix: str) -> Iterator[KeyChange]:
    """Of a nested table the keys inside that changed, each with its own way to be applied."""
    nested = type(after)
    if isinstance(before, Struct) and isinstance(after, Struct) and type(before) is nested and keys_of(nested):
        yield from _changes(nested, before, after, f"{prefix}{key.name}.")
    else:
        yield KeyChange(prefix + key.name, key.applied)


def _host_changes(old: Fleet, new: Fleet, before: SessionSpec, after: SessionSpec) -> Iterator[KeyChange]:
    """The host's own table is part of what a session is: its keys, and those of the hosts on the way."""
    if not isinstance(before.io, SshIo) or not isinstance(after.io, SshIo):
        return
    if before.io.host != after.io.host:
        yield KeyChange("host", Applied.RESTART)
        return
    there = _hosts_on_the_way(old, before.io.host)
    for name, host in _hosts_on_the_way(new, after.io.host).items():
        if name in there:
            yield from _changes(HostSpec, there[name], host, f"host.{name}.")


def _hosts_on_the_way(fleet: Fleet, name: str) -> dict[str, HostSpec]:
    found: dict[str, HostSpec] = {}
    ahead = [name]
    while ahead:
        host = fleet.hosts[ahead.pop()]
        found[host.name] = host
        ahead.extend(jump for jump in host.jump if jump not in found)
    return found


def _fleet_changes(old: Fleet, new: Fleet) -> Iterator[KeyChange]:
    yield from _changes(FleetSettings, old, new, "")
    for kind, before, after in (("hook", old.hooks, new.hooks), ("profile", old.profiles, new.profiles)):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield KeyChange(f"{kind}.{name}", Applied.LIVE)
