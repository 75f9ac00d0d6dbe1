"""ringctl upgrade: each step is written as it is done.

The supervisor that takes the order is replaced on the way: that it hangs up is part of it, and the next one goes on
telling. The upgrade itself goes on whether or not anybody listens.
"""

import time
from collections.abc import Iterator

import click
import msgspec

from supervisor.cli.arguments import duration, json_option
from supervisor.cli.exits import Exit
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import complain, write_json, write_lines
from supervisor.cli.verdicts import verdict_on
from supervisor.control.client import NoAnswerInTimeError, NobodyAnswersError, NotPermittedError, RequestFailedError
from supervisor.control.messages import Answer, AwaitUpgrade, Upgrade, UpgradeStep


@click.command("upgrade", help="The installed release takes over from the running one; sessions run on.")
@click.option("--dry-run", is_flag=True, help="Only try whether it could.")
@click.option("--timeout", callback=duration, default="10m", metavar="TIME", show_default=True, help="Wait so long.")
@json_option
@pass_operator
def upgrade_command(operator: Operator, *, dry_run: bool, timeout: float, as_json: bool) -> Exit:
    began_s = time.monotonic()
    steps: list[UpgradeStep] = []
    failure, code = "", Exit.DONE
    try:
        for step in _steps(operator, dry_run=dry_run, deadline_s=began_s + timeout):
            steps.append(step)
            write_lines([] if as_json else [step_line(step)])
    except (RequestFailedError, NobodyAnswersError) as error:
        failure, code = verdict_on(error)
    if as_json:
        write_json(
            dry_run=dry_run,
            failure=failure or None,
            took_s=round(time.monotonic() - began_s, 3),
            paused_s=max((step.paused_s for step in steps), default=0.0),
            steps=[_fields(step) for step in steps],
        )
    elif not failure:
        write_lines([_summary(steps, time.monotonic() - began_s, dry_run=dry_run)])
    if failure:
        complain(failure)
    return code


def _steps(operator: Operator, *, dry_run: bool, deadline_s: float) -> Iterator[UpgradeStep]:
    """Of one supervisor, then of the next."""
    known, asked_wall_s = 0, time.time()
    with operator.connect():  # so that one who hangs up later had been there
        pass
    answers: Iterator[Answer] = operator.order(Upgrade(1, dry_run), deadline_s - time.monotonic())
    while True:
        try:
            for answer in answers:
                if isinstance(answer, UpgradeStep):
                    known = answer.number + 1
                    yield answer
        except (NoAnswerInTimeError, NotPermittedError):
            raise
        except NobodyAnswersError:
            if dry_run or time.monotonic() >= deadline_s:
                raise
        else:
            return
        answers = operator.order(AwaitUpgrade(1, known, asked_wall_s), deadline_s - time.monotonic())


def step_line(step: UpgradeStep) -> str:
    paused = f", output paused for {_seconds(step.paused_s)} at most" if step.paused_s else ""
    return f"{step.step + ':':<12}{step.said} ({_seconds(step.took_s)}{paused})"


def _seconds(time_s: float) -> str:
    return f"{time_s * 1000:.0f} ms" if time_s < 1 else f"{time_s:.1f} s"


def _summary(steps: list[UpgradeStep], took_s: float, *, dry_run: bool) -> str:
    if dry_run:
        return "nothing was changed"
    paused_s = max((step.paused_s for step in steps), default=0.0)
    return f"upgraded in {_seconds(took_s)}; no output paused for longer than {_seconds(paused_s)}"


def _fields(step: UpgradeStep) -> dict[str, object]:
    fields = msgspec.structs.asdict(step)
    del fields["id"]
    return fields
