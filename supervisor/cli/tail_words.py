"""The words behind `tail` and `maintail`, as supervisorctl reads them. Pure."""

from typing import NamedTuple

from supervisor.cli.exits import Exit, Refusal

LAST_BYTES = 1600
FOLLOWED_BYTES = 1024
_CHANNELS = frozenset({"stdout", "stderr"})


class TailWords(NamedTuple):
    name: str
    stream: str
    byte_count: int
    follow: bool


def parse_tail(words: tuple[str, ...]) -> TailWords:
    """[-f | -BYTES] NAME [stdout|stderr]"""
    count, follow, rest = _modifier("tail", words)
    match rest:
        case []:
            raise _wrong("tail", "tail requires process name")
        case [name]:
            return TailWords(name, "stdout", count, follow)
        case [name, stream] if stream.lower() in _CHANNELS:
            return TailWords(name, stream.lower(), count, follow)
        case [_, stream]:
            raise _wrong("tail", f"bad channel '{stream}'")
        case _:
            raise _wrong("tail", "too many arguments")


def parse_maintail(words: tuple[str, ...]) -> TailWords:
    count, follow, rest = _modifier("maintail", words)
    if rest:
        raise _wrong("maintail", "too many arguments")
    return TailWords("", "stdout", count, follow)


def _modifier(command: str, words: tuple[str, ...]) -> tuple[int, bool, list[str]]:
    if not words or not words[0].startswith("-"):
        return LAST_BYTES, False, list(words)
    if words[0] == "-f":
        return FOLLOWED_BYTES, True, list(words[1:])
    if words[0][1:].isascii() and words[0][1:].isdigit():
        return int(words[0][1:]), False, list(words[1:])
    raise _wrong(command, f"bad argument {words[0]}")


def _wrong(command: str, what: str) -> Refusal:
    return Refusal(f"Error: {what}; ringctl help {command} says how", Exit.USAGE)
