"""ringctl fleets: the runtime directories in the usual places, and who answers there."""

from collections.abc import Iterator
from enum import StrEnum

import click
from msgspec import Struct

from childproc.worker_record import living
from supervisor.cli.arguments import json_option
from supervisor.cli.exits import Exit, Refusal
from supervisor.cli.ink import Ink, stdout_ink
from supervisor.cli.operating import Operator, pass_operator
from supervisor.cli.output import write_json, write_lines
from supervisor.cli.places import FleetPlace, usual_bases, usual_places
from supervisor.control.client import NobodyAnswersError, NotPermittedError, connect


class FleetState(StrEnum):
    RUNNING = "running"
    NOT_PERMITTED = "not permitted"
    HEADLESS = "headless"  # its ringvisord was killed, or has left, and its sessions run on
    ENDED = "no ringvisord"


class FleetRow(Struct, frozen=True):
    name: str
    state: FleetState
    pid: int
    release: str
    runtime_dir: str
    config: str
    run_on: list[str] = []  # sessions of a headless fleet


_COLOURS = {
    FleetState.RUNNING: "green",
    FleetState.NOT_PERMITTED: "yellow",
    FleetState.HEADLESS: "red",
    FleetState.ENDED: "dim",
}


@click.command("fleets", help="Fleets of this machine, in the usual places and of the fleet file here, if any.")
@json_option
@pass_operator
def fleets_command(operator: Operator, *, as_json: bool) -> Exit:
    rows = [look_at(place) for place in _places(operator)]
    if as_json:
        write_json(fleets=rows)
    elif rows:
        write_lines(fleet_lines(rows, stdout_ink()))
    else:
        write_lines([f"no fleets: looked in {', '.join(usual_bases())}; ringvisord starts one"])
    return Exit.DONE


def look_at(place: FleetPlace) -> FleetRow:
    state, pid, release = FleetState.ENDED, 0, ""
    left: list[str] = []
    try:
        with connect(place.socket) as client:
            state, pid, release = FleetState.RUNNING, client.welcome.keeper_pid, client.welcome.release
    except NotPermittedError:
        state = FleetState.NOT_PERMITTED
    except NobodyAnswersError:
        if left := living(place.runtime_dir):
            state = FleetState.HEADLESS
    return FleetRow(place.name, state, pid, release, place.runtime_dir, place.record.config, left)


def fleet_lines(rows: list[FleetRow], ink: Ink) -> Iterator[str]:
    width = max(20, *(len(row.name) + 2 for row in rows))
    for row in rows:
        state = ink(f"{row.state:<15}", _COLOURS[row.state])
        yield f"{row.name:<{width}}{state}{_who(row):<14}{row.config or row.runtime_dir}"


def _who(row: FleetRow) -> str:
    if row.run_on:
        return f"{len(row.run_on)} run on  "
    return f"pid {row.pid}" if row.pid else "-"


def _places(operator: Operator) -> list[FleetPlace]:
    places = {place.runtime_dir: place for place in usual_places()}
    try:
        own = operator.fleet
        if own.record.name:
            places.setdefault(own.runtime_dir, own)
    except Refusal:
        pass  # no fleet is meant: then those that are there
    return list(places.values())
