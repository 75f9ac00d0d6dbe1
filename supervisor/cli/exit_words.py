"""How a program ended, in words, from the typed reason that status has. Pure."""

from collections.abc import Mapping
from typing import Any


def exit_words(reason: Mapping[str, Any]) -> str:
    match reason:
        case {"reason": "exited", "code": code}:
            return f"exit code {code}"
        case {"reason": "signalled", "signal": signal}:
            return f"killed by {signal}"
        case {"reason": "oom"}:
            return "out of memory"
        case {"reason": "spawn_failed", "message": message}:
            return f"could not be started: {message}"
        case {"reason": "limit", "which": which}:
            return f"beyond its limit: {which}"
        case {"reason": "stopped", "by": by}:
            return f"stopped by {by}"
        case {"reason": str(other)}:
            return other
        case _:
            return "unknown"
