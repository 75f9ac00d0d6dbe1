"""What a fleet file that was read again changes. Pure."""

from collections.abc import Iterator

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
    return [*(f"{group}: {word}" for group, word in sorted(words.items())), *_changes(plan, set(_WHEN))]


def live_lines(plan: PlanReport) -> list[str]:
    """What an update has applied to sessions that run on."""
    return list(_changes(plan, {"live", "next_start"}))


def _changes(plan: PlanReport, when: set[str]) -> Iterator[str]:
    for session, keys in sorted(plan.sessions.items()):
        said = [f"{key} ({_WHEN.get(applied, applied)})" for key, applied in sorted(keys.items()) if applied in when]
        if said:
            yield f"  {session}: {', '.join(said)}"
