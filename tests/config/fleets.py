"""Random fleets that must load, made from the table of keys itself."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

from config import health
from config.crosscheck import BUILT_IN_PROFILES
from config.env_value import EnvValue
from config.hosts import HostSpec
from config.kinds import TEXT, Choice, Claimed, Command, Kind, ListOf, MapOf, OrFalse, Path, Scalar
from config.model import FleetSettings, HookSpec, PipeIo, PtyIo, SessionSpec, SshIo
from config.quantities import MEMORY
from config.report import ClaimKind
from config.tables import Table, Tagged, keys_of
from config.units import signal_name
from config.values import FLAG, NAME, PERCENT, REGEX, SIGNAL, URL, USER, CpuSet

TEXTS = st.text(alphabet="{}$:-nameX_ é\"'\\\n=#[]", max_size=12) | st.sampled_from(
    ["{name}", "${X}", "{{n}}", "$${A:-b}"]
)
PATHS = st.text(alphabet="ab é{}", min_size=1, max_size=5).map(lambda text: f"/{text}")
NAMES = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=8)
FIXED: dict[int, st.SearchStrategy[Any]] = {
    id(TEXT): TEXTS,
    id(FLAG): st.booleans(),
    id(PERCENT): st.integers(1, 400).map(lambda percent: f"{percent}%"),
    id(SIGNAL): st.integers(1, 64).filter(lambda number: number not in (32, 33)).map(signal_name),
    id(NAME): NAMES,
    id(REGEX): TEXTS.filter(bool).map(re.escape),
    id(URL): st.just("http://127.0.0.1:1/x"),
    id(USER): st.just("root"),
    id(MEMORY): st.integers(1, 2**40) | st.integers(1, 100).map(lambda percent: f"{percent}%"),
}
CROSS_CHECKED = {"depends_on", "memory_high", "jump"}
"""Keys whose values must fit something else, and are left out."""
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "profile": st.sampled_from(BUILT_IN_PROFILES),
    "size": st.just(4096),
    "max_size": st.integers(4096, 2**30),
    "path": st.just("{name}/x.log"),
}


def value_of(kind: Kind) -> st.SearchStrategy[Any]:
    if id(kind) in FIXED:
        return FIXED[id(kind)]
    match kind:
        case Scalar(shape=shape):
            return scalar(shape)
        case Choice(options=options):
            return st.sampled_from([option.value for option in options])
        case ListOf(item=item):
            return st.lists(value_of(item), max_size=3)
        case MapOf(item=item):
            return st.dictionaries(st.text(alphabet="ABC_", min_size=1, max_size=4), value_of(item), max_size=3)
        case OrFalse(kind=inner):
            return st.just(False) | value_of(inner)
        case Table(spec=spec):
            return table_of(spec)
        case Tagged(specs=specs):
            return st.one_of([table_of(spec).map(lambda table, spec=spec: tagged(spec, table)) for spec in specs])
        case Command():
            return st.lists(TEXTS, max_size=2).map(lambda words: ["program", *words])
        case Path():
            return PATHS
        case CpuSet():
            return st.lists(st.integers(0, 63), min_size=1, max_size=3)
        case Claimed(claim=ClaimKind.USER):
            return st.sampled_from(["root", "root:root", "0"])
        case Claimed(claim=ClaimKind.ENV_FILE):
            return st.just("some.env")
        case Claimed():
            return st.just("secret")
        case EnvValue():
            return TEXTS | st.integers(0, 9) | st.just({"file": "secret"})
    return value_of(health._CHECKS)


def scalar(shape: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """The first alternative of its schema: whatever the schema says of numbers, the parser must take."""
    if "anyOf" not in shape:
        return st.sampled_from(["restart", "stop", "mark", "signal:HUP", "hook:k"])  # only actions have no numbers
    first = shape["anyOf"][0]
    low, high = first["minimum"], first.get("maximum", 10**9)
    return st.integers(low, high) if first["type"] == "integer" else st.floats(low, high)


def tagged(spec: type[Struct], table: dict[str, Any]) -> dict[str, Any]:
    """With what a check must have to mean anything."""
    tag = spec.__struct_config__.tag
    needed = {"output": {"match": "x"}, "resource": {"fds": 3}}
    return {"type": tag, **needed.get(str(tag), {}), **table}


@cache
def table_of(spec: type[Struct]) -> st.SearchStrategy[dict[str, Any]]:
    keys = [key for key in keys_of(spec).values() if key.name not in CROSS_CHECKED]
    required = {key.name: value_of(key.kind) for key in keys if key.is_required}
    optional = {
        key.name: SPECIAL[key.name] if key.name in SPECIAL else value_of(key.kind)
        for key in keys
        if not key.is_required
    }
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def fleets(draw: Any) -> dict[str, Any]:
    """The tables of a fleet file."""
    sessions = {}
    for name in draw(st.lists(NAMES, max_size=3, unique_by=str.lower)):
        io, spec = draw(st.sampled_from([("pty", PtyIo), ("pipe", PipeIo), ("ssh", SshIo)]))
        table = draw(table_of(SessionSpec)) | draw(table_of(spec)) | {"io": io, "command": "x"}
        if io == "ssh":
            table = {key: item for key, item in table.items() if key not in ("user", "login_env")} | {"host": "h"}
        sessions[name] = table
    return {
        "fleet": without_session_names(draw(table_of(FleetSettings))),
        "hook": {"k": without_session_names(draw(table_of(HookSpec)))},
        "host": {"h": without_session_names(draw(table_of(HostSpec)))},
        "session": sessions,
    }


def without_session_names(table: dict[str, Any]) -> dict[str, Any]:
    """What belongs to no session knows no {name}."""
    replaced: dict[str, Any] = json.loads(re.sub(r"\{(name|n|group)\}", "{fleet}", json.dumps(table)))
    return replaced
