"""The scalar kinds that a fleet file is made of: flags, counts, amounts, names, patterns, addresses.

A number may also come as text, because `"${PORT}"` and `"808{n}"` can only be text in TOML. In the schema, therefore,
any text with a `{` in it may be anything.
"""

import re
import warnings
from typing import Final

from msgspec import Struct

from config import units
from config.kinds import TEXT, ListOf, Scalar, Schema, Scope
from config.located import Node
from config.units import shown

NAME_PATTERN: Final = r"[A-Za-z0-9_.-]{1,64}"
NAME_RULE: Final = "1 to 64 of the characters A-Z a-z 0-9 _ . -"
ENV_NAME_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]*"
UNLIMITED: Final = -1  # as the kernel's RLIM_INFINITY


def text_like(pattern: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern})$|\\{{"}


def _flag(raw: object) -> bool:
    match raw:
        case bool():
            return raw
        case "true" | "false":
            return raw == "true"
    raise ValueError(f"{shown(raw)} is neither true nor false")


def count(low: int = 0, high: int = 2**31 - 1) -> Scalar:
    def convert(raw: object) -> int:
        number = int(raw) if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,18}", raw) else raw
        if isinstance(number, int) and not isinstance(number, bool) and low <= number <= high:
            return number
        raise ValueError(f"{shown(raw)} is no whole number from {low} to {high}")

    return Scalar(convert, {"anyOf": [{"type": "integer", "minimum": low, "maximum": high}, text_like("-?[0-9]+")]})


def number(low: float, high: float) -> Scalar:
    def convert(raw: object) -> float:
        value = float(raw) if isinstance(raw, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", raw) else raw
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise ValueError(f"{shown(raw)} is no number from {low:g} to {high:g}")

    shape = {"anyOf": [{"type": "number", "minimum": low, "maximum": high}, text_like(r"[0-9]+(\.[0-9]+)?")]}
    return Scalar(convert, shape)


def amount(low_bytes: int = 1) -> Scalar:
    def convert(raw: object) -> int:
        size_bytes = units.parse_bytes(raw)
        if size_bytes < low_bytes:
            raise ValueError(f"{shown(raw)} is too little: at least {low_bytes} bytes")
        return size_bytes

    return Scalar(convert, {"anyOf": [{"type": "integer", "minimum": low_bytes}, text_like(units.BYTES_PATTERN)]})


def duration(low_s: float = 0.0) -> Scalar:
    def convert(raw: object) -> float:
        seconds = units.parse_duration(raw)
        if seconds < low_s:
            raise ValueError(f"{shown(raw)} is too short: at least {low_s:g} s")
        return seconds

    return Scalar(convert, {"anyOf": [{"type": "number", "minimum": low_s}, text_like(units.DURATION_PATTERN)]})


def or_unlimited(kind: Scalar) -> Scalar:
    def convert(raw: object) -> object:
        return UNLIMITED if raw == "unlimited" else kind.convert(raw)

    return Scalar(convert, {"anyOf": [*kind.shape["anyOf"], {"const": "unlimited"}]})


def _name(raw: object) -> str:
    name = str(TEXT.convert(raw))
    if not is_name(name):
        raise ValueError(f"{shown(raw)} is no name: {NAME_RULE}")
    return name


def is_name(text: str) -> bool:
    """Names become parts of paths, so that one of dots only would be a directory."""
    return re.fullmatch(NAME_PATTERN, text) is not None and text.strip(".") != ""


def _pattern(raw: object) -> str:
    text = str(TEXT.convert(raw))
    if not text:
        raise ValueError("is empty, and would match anything")
    try:
        with warnings.catch_warnings(action="ignore"):  # `[[a]` may one day mean something else: not the user's concern
            re.compile(text.encode())
    except (re.error, OverflowError, RecursionError) as wrong:
        raise ValueError(f"{shown(raw)} is no regular expression: {wrong}") from wrong
    return text


def _url(raw: object) -> str:
    url = str(TEXT.convert(raw))
    if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", url):
        raise ValueError(f'{shown(raw)} is no address to ask: write "http://HOST:PORT/PATH"')
    return url


def _user(raw: object) -> str:
    user = str(TEXT.convert(raw))
    if not re.fullmatch(r"[^\s:]+(:[^\s:]+)?", user):
        raise ValueError(f'{shown(raw)} is no user: write "NAME" or "NAME:GROUP"')
    return user


def _cpus(raw: object) -> tuple[int, ...]:
    """One CPU, or a range of them."""
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 4096:
        return (raw,)
    found = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", raw) if isinstance(raw, str) else None
    if found is None or int(found[1]) > int(found[2] or found[1]):
        raise ValueError(f'{shown(raw)} is no CPU: write a number or a range as "0-3"')
    return tuple(range(int(found[1]), int(found[2] or found[1]) + 1))


class CpuSet(Struct, frozen=True, eq=False):
    """CPUs and ranges of CPUs, in order and without repetition."""

    def read(self, node: Node, scope: Scope) -> object:
        ranges = _CPU_LIST.read(node, scope)
        return tuple(sorted({cpu for cpus in ranges for cpu in cpus})) if isinstance(ranges, tuple) else ranges

    def schema(self) -> Schema:
        return _CPU_LIST.schema()


FLAG: Final = Scalar(_flag, {"anyOf": [{"type": "boolean"}, text_like("true|false")]})
PERCENT: Final = Scalar(units.parse_percent, text_like(units.PERCENT_PATTERN))
SIGNAL: Final = Scalar(units.parse_signal, {"anyOf": [{"type": "integer"}, text_like("[A-Z0-9+-]+")]})
NAME: Final = Scalar(_name, text_like(NAME_PATTERN))
REGEX: Final = Scalar(_pattern, {"type": "string", "format": "regex"})
URL: Final = Scalar(_url, text_like("https?://.+"))
USER: Final = Scalar(_user, text_like(r"[^\s:]+(:[^\s:]+)?"))
_CPU_LIST: Final = ListOf(Scalar(_cpus, {"anyOf": [{"type": "integer", "minimum": 0}, text_like(r"[0-9]+(-[0-9]+)?")]}))
PORT: Final = count(1, 65535)
