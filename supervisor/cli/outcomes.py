"""What came of an order, session by session, in supervisorctl's words. Pure."""

from collections.abc import Sequence

from supervisor.cli.exits import Exit
from supervisor.cli.output import as_one_line
from supervisor.control.client import RequestFailedError
from supervisor.control.messages import Outcome

SO_ALREADY = frozenset({"already started", "not running"})
NO_SUCH = frozenset({"no such process", "no such group"})


def outcome_line(outcome: Outcome) -> str:
    """What is so already is an error in words, though not in the exit code."""
    good = outcome.ok and outcome.result not in SO_ALREADY
    session = as_one_line(outcome.session)  # of one that there is not, it is what was typed
    return f"{session}: {outcome.result}" if good else f"{session}: ERROR ({outcome.result})"


def failure_line(failure: RequestFailedError) -> str:
    """An order that was refused as a whole."""
    first = str(failure).partition("\n")[0]
    return f"ERROR: CANT_REREAD: {first}" if failure.code == "invalid_config" else f"ERROR: {first}"


def outcomes_exit(outcomes: Sequence[Outcome], harmless: frozenset[str]) -> Exit:
    """`harmless`: refusals after which things are as they were wanted."""
    bad = [outcome.result for outcome in outcomes if not outcome.ok and outcome.result not in harmless]
    if not bad:
        return Exit.DONE
    return Exit.NO_SUCH if NO_SUCH.issuperset(bad) else Exit.FAILED


def advice(outcomes: Sequence[Outcome], harmless: frozenset[str]) -> str:
    """The line for stderr; empty where nothing went wrong."""
    bad = [outcome for outcome in outcomes if not outcome.ok and outcome.result not in harmless]
    unknown = [outcome.session for outcome in bad if outcome.result in NO_SUCH]
    failed = [outcome.session for outcome in bad if outcome.result not in NO_SUCH]
    parts = []
    if failed:
        parts.append(f"{len(failed)} of {len(outcomes)} failed: ringctl explain {failed[0]} says why")
    if unknown:
        parts.append(f"no such session: {', '.join(unknown)}; ringctl status lists them")
    return "; ".join(parts)
