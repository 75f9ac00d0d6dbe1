"""ringvisord's command line. It runs in a child of the main process, which stays small (see main_process.py)."""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from childproc.worker_record import living
from config import ConfigErrors, load
from config.errors import Problem
from config.load import load_settings
from supervisor.errand import Errand, RunDemo, RunFleet, encode
from supervisor.fleet_needs import needs_of
from supervisor.fleet_place import place_of, read_place
from supervisor.limits import Finding, Level, Needs, limit_findings
from supervisor.limits_here import limits_here
from supervisor.namesake import namesake_warning

FAILED = 1
USAGE = 2


class Call(NamedTuple):
    """What the commands are given. The main process waits for an errand, or for the end."""

    config_file: str | None
    errand_fd: int

    def send_on(self, errand: Errand) -> None:
        os.write(self.errand_fd, encode(errand))


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-c", "--config", "config_file", metavar="FILE", help="The fleet file; else it is looked for.")
@click.option("--daemon", "as_daemon", is_flag=True, help="Go to the background once the fleet is ready.")
@click.option("--log-format", type=click.Choice(["json", "console"]), help="Of ringvisord's own log.")
@click.version_option(package_name="ringvisor", prog_name="ringvisord")
@click.pass_context
def ringvisord(context: click.Context, config_file: str | None, *, as_daemon: bool, log_format: str | None) -> None:
    """Run a fleet of sessions, in the foreground unless told otherwise.

    The fleet file is that of -c, $RINGVISOR_CONFIG, ./ringvisor.toml, ~/.config/ringvisor/ringvisor.toml or
    /etc/ringvisor/ringvisor.toml. `ringvisord init` writes one to begin with. Operate it with ringctl.
    """
    context.obj = Call(config_file, errand_fd=context.obj)
    if context.invoked_subcommand is None:
        _plan_to_run(context.obj, log_format, as_daemon=as_daemon)


@ringvisord.command()
@click.option("--json", "as_json", is_flag=True, help="The problems as JSON.")
@click.pass_obj
def check(call: Call, *, as_json: bool) -> None:
    """Say everything that is wrong with the fleet file."""
    try:
        loaded = load(call.config_file)
    except ConfigErrors as errors:
        _print_problems(errors.problems, as_json=as_json)
        sys.exit(USAGE)
    if as_json:
        _print_problems(loaded.warnings, as_json=True)
        return
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{loaded.fleet.config}: {len(loaded.fleet.sessions)} sessions, no errors")


@ringvisord.command("check-code", hidden=True)
@click.argument("runtime_dir", type=click.Path(exists=True, file_okay=False))
def check_code(runtime_dir: str) -> None:
    """As `ringctl upgrade` does before it begins: is this code whole, does it load, does it accept that fleet?"""
    from supervisor.upgrade.check import CodeRefusedError, check, encode  # noqa: PLC0415 - only this command needs it

    try:
        click.echo(encode(check(runtime_dir, {})).decode())
    except CodeRefusedError as refusal:
        raise click.ClickException(str(refusal)) from None


@ringvisord.command()
def schema() -> None:
    """Print a JSON Schema of the fleet file, for editors."""
    from config.schema import fleet_schema  # noqa: PLC0415 - only this command needs it

    click.echo(json.dumps(fleet_schema(), indent=2))


@ringvisord.command()
@click.argument("file", default="ringvisor.toml")
def init(file: str) -> None:
    """Write a commented fleet file to begin with."""
    from config.example import EXAMPLE  # noqa: PLC0415 - only this command needs it

    try:
        with open(file, "x", encoding="utf-8") as target:
            target.write(EXAMPLE)
    except FileExistsError:
        raise click.ClickException(f"{file} is there already: move it away, or name another file") from None
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from None
    click.echo(f"{Path(file).resolve()} written; try: ringvisord -c {file} check")


@ringvisord.command()
@click.argument("journal", type=click.Path(exists=True))
@click.option("--json", "as_json", is_flag=True, help="The decisions as JSON.")
def replay(journal: str, *, as_json: bool) -> None:
    """Take the decisions of a journal again: event, states, effects, deadline; 1 where one comes out differently.

    JOURNAL is <state_dir>/journal, or the directory: then its older part comes first.
    """
    from supervisor import journal_report as report  # noqa: PLC0415 - only this command needs it

    try:
        found = report.replay_file(journal)
    except (report.NoJournalError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(report.as_document(found), indent=2))
    else:
        for line in report.as_lines(found):
            click.echo(line)
    if found.damages:
        click.echo(f"{journal} is damaged: {found.damages} pieces left out", err=True)
    sys.exit(1 if found.differing else 0)


@ringvisord.command()
@click.option("--seconds", type=click.FloatRange(0, 86_400), help="How long; else until q, without a terminal 12.")
@click.pass_obj
def demo(call: Call, seconds: float | None) -> None:
    """A fleet to look at, with no set-up: kill what serves it while it works, and see the books balance.

    Without a terminal it prints what happens as lines.
    """
    call.send_on(RunDemo(seconds))


def _plan_to_run(call: Call, log_format: str | None, *, as_daemon: bool) -> None:
    """Tell the main process where the fleet lives, or end with everything that is wrong."""
    try:
        loaded = load(call.config_file)
    except ConfigErrors as errors:
        _print_problems(errors.problems, as_json=False)
        _take_over_as_it_was(call, as_daemon=as_daemon)
        return
    for warning in (*loaded.warnings, namesake_warning()):
        if warning is not None:
            click.echo(f"warning: {warning}", err=True)
    place = place_of(loaded.fleet, loaded.fleet.config, log_format or loaded.fleet.log_format)
    needs = needs_of(loaded.fleet)
    if not living(place.runtime_dir):  # what runs on has what it needs, and would be counted twice
        _print_limits(limit_findings(limits_here(loaded.fleet.ring_dir, place.ring_dir), needs))
    call.send_on(RunFleet(place, as_daemon, needs.nofile))


def _take_over_as_it_was(call: Call, *, as_daemon: bool) -> None:
    """A fleet that runs on without its ringvisord needs none of the file but where it lives."""
    try:
        runtime_dir = load_settings(call.config_file).runtime_dir
    except ConfigErrors:
        sys.exit(USAGE)
    running, place = living(runtime_dir), read_place(runtime_dir)
    if not running or place is None:
        sys.exit(USAGE)
    click.echo("the fleet runs on, and goes on as it was in force: mend the file, then ringctl update", err=True)
    call.send_on(RunFleet(place, as_daemon, Needs(len(running), 0, 0, 0).nofile))


def _print_limits(findings: list[Finding]) -> None:
    """Ends this process where the fleet as a whole cannot run."""
    lacking = [finding for finding in findings if finding.level is not Level.OK]
    for finding in lacking:
        kind = "error" if finding.level is Level.FAIL else "warning"
        click.echo(f"{kind}: {finding.check}: {finding.found}; {finding.advice}", err=True)
    if any(finding.level is Level.FAIL for finding in lacking):
        sys.exit(FAILED)


def _print_problems(problems: tuple[Problem, ...], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(problems)).decode())
        return
    for problem in problems:
        click.echo(str(problem), err=True)
