"""Where things lie unless the file says otherwise, for root and for a user. Environment, home and uid are passed in."""

import posixpath
import re
from collections.abc import Mapping

from msgspec import Struct

CONFIG_NAME = "ringvisor.toml"


class Surroundings(Struct, frozen=True):
    """What a load takes from the process that does it."""

    env: Mapping[str, str]
    home: str
    uid: int
    cwd: str


def config_candidates(around: Surroundings) -> list[str]:
    """Where a fleet file is looked for when none is named, the first that exists is it."""
    return [
        posixpath.join(around.cwd, CONFIG_NAME),
        posixpath.join(around.home, ".config/ringvisor", CONFIG_NAME),
        posixpath.join("/etc/ringvisor", CONFIG_NAME),
    ]


def runtime_bases(around: Surroundings) -> list[str]:
    """Directories that hold the runtime directories of fleets: the first is the default, ringctl looks in all."""
    xdg = around.env.get("XDG_RUNTIME_DIR")
    user_bases = [f"{xdg}/ringvisor"] if xdg else []
    user_bases.append(f"/tmp/ringvisor-{around.uid}")  # noqa: S108 - made 0700 and checked for its owner by who uses it
    return ["/run/ringvisor", *user_bases] if around.uid == 0 else [*user_bases, "/run/ringvisor"]


def default_runtime_dir(fleet: str, around: Surroundings) -> str:
    return posixpath.join(runtime_bases(around)[0], fleet)


def default_state_dir(fleet: str, around: Surroundings) -> str:
    if around.uid == 0:
        return posixpath.join("/var/lib/ringvisor", fleet)
    base = around.env.get("XDG_STATE_HOME") or posixpath.join(around.home, ".local/state")
    return posixpath.join(base, "ringvisor", fleet)


def default_log_dir(fleet: str, around: Surroundings) -> str:
    if around.uid == 0:
        return posixpath.join("/var/log/ringvisor", fleet)
    return posixpath.join(default_state_dir(fleet, around), "log")


def default_fleet_name(directory: str) -> str:
    """A fleet without a name is called like the directory of its file."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", posixpath.basename(directory))[:64].strip(".-") or "ringvisor"
