"""Carrying out an order: each outcome is written as it is known."""

from collections.abc import Iterator

import msgspec

from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator
from supervisor.cli.outcomes import advice, failure_line, outcome_line, outcomes_exit
from supervisor.cli.output import complain, write_json, write_lines
from supervisor.cli.plan_lines import live_lines
from supervisor.cli.verdicts import verdict_on
from supervisor.control.client import RequestFailedError
from supervisor.control.messages import Outcome, PlanReport, Request

NOTHING: frozenset[str] = frozenset()


def carry_out(
    operator: Operator,
    request: Request,
    *,
    timeout_s: float,
    as_json: bool = False,
    harmless: frozenset[str] = NOTHING,
) -> Exit:
    """`harmless`: refusals that are none, since things are as they were wanted."""
    outcomes: list[Outcome] = []
    try:
        for outcome in _outcomes(operator, request, timeout_s, as_json=as_json):
            outcomes.append(outcome)
            if not as_json:
                write_lines([outcome_line(outcome)])
    except RequestFailedError as failure:
        return _refused(failure, harmless)
    if as_json:
        write_json(results=[_fields(outcome) for outcome in outcomes])
    if said := advice(outcomes, harmless):
        complain(said)
    return outcomes_exit(outcomes, harmless)


def _outcomes(operator: Operator, request: Request, timeout_s: float, *, as_json: bool) -> Iterator[Outcome]:
    for answer in operator.order(request, timeout_s):
        match answer:
            case Outcome():
                yield answer
            case PlanReport() if not as_json:
                write_lines(live_lines(answer))


def _refused(failure: RequestFailedError, harmless: frozenset[str]) -> Exit:
    write_lines([failure_line(failure)])
    if failure.code in harmless:
        return Exit.DONE
    message, code = verdict_on(failure)
    complain(message)
    return code


def _fields(outcome: Outcome) -> dict[str, object]:
    fields = msgspec.structs.asdict(outcome)
    del fields["id"]
    return fields
