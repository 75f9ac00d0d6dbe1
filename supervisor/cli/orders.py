"""Carrying out an order: each outcome is written as it is known."""

from collections.abc import Iterator

import msgspec

from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator
from supervisor.cli.outcomes import advice, failure_line, outcome_line, outcomes_exit
from supervisor.cli.output import complain, write_json, write_lines
from supervisor.cli.plan_lines import plan_document, update_lines
from supervisor.cli.verdicts import verdict_on
from supervisor.control.client import RequestFailedError
from supervisor.control.messages import Answer, Outcome, PlanReport, Request

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
    plan: PlanReport | None = None
    try:
        for answer in answers_to(operator, request, timeout_s):
            match answer:
                case Outcome():
                    outcomes.append(answer)
                    write_lines([] if as_json else [outcome_line(answer)])
                case PlanReport():
                    plan = answer
                    write_lines([] if as_json else update_lines(answer))
    except RequestFailedError as failure:
        return _refused(failure, harmless, as_json=as_json)
    if as_json:
        write_json(results=list(map(_fields, outcomes)), **({} if plan is None else plan_document(plan)))
    if said := advice(outcomes, harmless):
        complain(said)
    return outcomes_exit(outcomes, harmless)


def answers_to(operator: Operator, request: Request, timeout_s: float) -> Iterator[Answer]:
    """Outcomes until Done; or until the plan that was applied, which is the last answer where there is one."""
    for answer in operator.order(request, timeout_s):
        yield answer
        if isinstance(answer, PlanReport):
            return


def _refused(failure: RequestFailedError, harmless: frozenset[str], *, as_json: bool) -> Exit:
    write_lines([] if as_json else [failure_line(failure)])
    if failure.code in harmless:
        return Exit.DONE
    message, code = verdict_on(failure)
    complain(message)
    return code


def _fields(outcome: Outcome) -> dict[str, object]:
    fields = msgspec.structs.asdict(outcome)
    del fields["id"]
    return fields
