"""What a fleet file that was read again changes. Pure."""

from collections.abc import Iterator
from typing import Any

from supervisor.control.messages import PlanReport

_WHEN = {"live": "applied live", "next_start": "at its next start", "restart": "restarts it"}


def reread_lines(plan: PlanReport) -> list[str]:
    """supervisorctl's lines; below a group that changed, which keys of which session, and when they take effect."""
    words = {
        **dict.fromkeys(plan.added, "available"),
        **dict.fromkeys(plan.changed, "changed"),
        **dict.fromkeys(plan.removed, "disappeared"),
    }
    if not words and not plan.sessions:
        return ["No config updates to processes"]
    return [*(f"{group}: {word}" for group, word in sorted(words.items())), *_changes(plan)]


def update_lines(plan: PlanReport) -> list[str]:
    """supervisorctl's lines, none where nothing is to do. A group that changed was not stopped as a whole: below it
    stands what became of its sessions."""
    return [
        *(line for group in plan.removed for line in (f"{group}: stopped", f"{group}: removed process group")),
        *(f"{group}: updated process group" for group in plan.changed),
        *_changes(plan),
        *(f"{group}: added process group" for group in plan.added),
    ]


def plan_document(plan: PlanReport) -> dict[str, Any]:
    return {
        "added": plan.added,
        "changed": plan.changed,
        "removed": plan.removed,
        "sessions": plan.sessions,
        "kept": plan.kept,
    }


def _changes(plan: PlanReport) -> Iterator[str]:
    for session, keys in sorted(plan.sessions.items()):
        said = [f"{key} ({_WHEN.get(applied, applied)})" for key, applied in sorted(keys.items())]
        yield f"  {session}: {', '.join(said)}"
