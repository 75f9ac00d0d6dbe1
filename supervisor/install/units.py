"""The files that make a fleet a service of systemd. Pure: templates and facts are passed in.

    NAME.service            ringvisord: keeper and supervisor
    NAME-sessions.service   the cgroup of programs, workers and router, which outlives NAME.service
    sysusers, tmpfiles      root's only, the same for all fleets of a machine

Facts of unit files. `%` begins a specifier, and `$` a variable, unless it is doubled; in double quotes, a backslash
escapes. A path in a setting that takes one must not be quoted, and arguments of a command may.
"""

from collections.abc import Mapping

from msgspec import Struct

MARK = "# Written by ringctl install-service"


class Locations(Struct, frozen=True):
    """Where systemd looks: the machine's, or one user's."""

    units: str
    runtime_root: str  # RuntimeDirectory= is below it; "" where there is none
    sysusers: str = ""
    tmpfiles: str = ""


class Service(Struct, frozen=True):
    name: str  # of the unit, without .service
    fleet: str
    config: str
    runtime_dir: str
    bin_dir: str
    is_users: bool  # of the user's service manager, not the machine's

    @property
    def main_unit(self) -> str:
        return f"{self.name}.service"

    @property
    def sessions_unit(self) -> str:
        return f"{self.name}-sessions.service"


def system_locations() -> Locations:
    return Locations("/etc/systemd/system", "/run", "/etc/sysusers.d/ringvisor.conf", "/etc/tmpfiles.d/ringvisor.conf")


def user_locations(environ: Mapping[str, str], home: str) -> Locations:
    config = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    return Locations(f"{config}/systemd/user", environ.get("XDG_RUNTIME_DIR", ""))


def rendered(service: Service, where: Locations, templates: Mapping[str, str]) -> dict[str, str]:
    """Content by path."""
    words = {
        "unit": service.name,
        "fleet": service.fleet,
        "config": quoted(service.config),
        "ringvisord": quoted(f"{service.bin_dir}/ringvisord"),
        "ringctl": quoted(f"{service.bin_dir}/ringctl"),
        "runtime_dir": quoted(service.runtime_dir),
        "runtime_directory": _runtime_directory(service.runtime_dir, where.runtime_root),
        "target": "default.target" if service.is_users else "multi-user.target",
    }
    files = {
        f"{where.units}/{service.sessions_unit}": templates["sessions.service"].format(**words),
        f"{where.units}/{service.main_unit}": templates["fleet.service"].format(**words),
    }
    if where.sysusers:
        files[where.sysusers] = templates["sysusers.conf"]
    if where.tmpfiles:
        files[where.tmpfiles] = templates["tmpfiles.conf"]
    return files


def quoted(word: str) -> str:
    """As one argument of a command."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(c.isspace() or c in "\"'\\;" for c in word) else escaped


def _runtime_directory(runtime_dir: str, root: str) -> str:
    """Nothing where systemd could not make it: ringvisord makes it itself, and nobody removes it."""
    below = runtime_dir.removeprefix(f"{root}/")
    if not root or below == runtime_dir or any(c.isspace() or c in "%$\"'\\" for c in below):
        return ""
    return f"RuntimeDirectory={below}\nRuntimeDirectoryMode=0700\nRuntimeDirectoryPreserve=yes\n"
