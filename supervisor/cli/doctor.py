"""ringctl doctor."""

import os
from collections.abc import Iterator, Sequence

import click
from msgspec.structs import replace

from supervisor.cli.arguments import json_option
from supervisor.cli.diagnosis import findings
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.ink import Ink, stdout_ink
from supervisor.cli.machine_facts import this_machine
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import complain, write_json, write_lines
from supervisor.limits import Finding, Level, limit_findings
from supervisor.limits_here import limits_here

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
_DEFAULT_RING_DIR = "/dev/shm"  # noqa: S108 - it is looked at, not written to


@click.command("doctor", help="Look at limits, shared memory, kernel, installation; say which number to change.")
@json_option
@pass_operator
def doctor_command(operator: Operator, *, as_json: bool) -> Exit:
    found = [*findings(this_machine(_ring_dir(operator))), *_of_fleet(operator)]
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


def _of_fleet(operator: Operator) -> list[Finding]:
    """What ringvisord would say before it starts this fleet, where its file can be read."""
    from config import ConfigErrors, load  # noqa: PLC0415 - most commands need none of it
    from supervisor.fleet_needs import needs_of  # noqa: PLC0415
    from supervisor.fleet_place import place_of  # noqa: PLC0415

    try:
        fleet = load(operator.fleet.record.config or operator.wanted.config).fleet
    except (ConfigErrors, Refusal):
        return []
    place = place_of(fleet, fleet.config)
    found = limit_findings(limits_here(fleet.ring_dir, place.ring_dir), needs_of(fleet))
    return [replace(finding, check=f"{fleet.name}: {finding.check}") for finding in found]


def _ring_dir(operator: Operator) -> str:
    try:
        ring_dir = operator.fleet.record.ring_dir or _DEFAULT_RING_DIR
    except Refusal:
        return _DEFAULT_RING_DIR
    return ring_dir if os.path.isdir(ring_dir) else os.path.dirname(ring_dir)  # it goes with its fleet
