"""ringctl doctor."""

from collections.abc import Iterator, Sequence

import click

from supervisor.cli.arguments import json_option
from supervisor.cli.diagnosis import findings
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.ink import Ink, stdout_ink
from supervisor.cli.machine_facts import this_machine
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import complain, write_json, write_lines
from supervisor.limits import Finding, Level

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
_DEFAULT_RING_DIR = "/dev/shm"  # noqa: S108 - it is looked at, not written to


@click.command("doctor", help="Look at limits, shared memory, kernel, installation; say which number to change.")
@json_option
@pass_operator
def doctor_command(operator: Operator, *, as_json: bool) -> Exit:
    found = findings(this_machine(_ring_dir(operator)))
    failed = [finding.check for finding in found if finding.level is Level.FAIL]
    if as_json:
        write_json(ok=not failed, checks=found)
    else:
        write_lines(finding_lines(found, stdout_ink()))
    if failed:
        complain(f"{', '.join(failed)}: ringvisord cannot work so; the list says what to change")
        return Exit.FAILED
    return Exit.DONE


def finding_lines(found: Sequence[Finding], ink: Ink) -> Iterator[str]:
    width = max(len(finding.check) for finding in found)
    for finding in found:
        yield f"{ink(f'{finding.level:<5}', _COLOURS[finding.level])} {finding.check:<{width}}  {finding.found}"
        if finding.advice:
            yield f"{'':<6}{'':<{width}}  {finding.advice}"


def _ring_dir(operator: Operator) -> str:
    try:
        return operator.fleet.record.ring_dir or _DEFAULT_RING_DIR
    except Refusal:
        return _DEFAULT_RING_DIR
