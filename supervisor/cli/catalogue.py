"""Every command: where it is found, and the line that help has for it.

A command's module is imported when it is run: what `status` does not need, it does not pay for.
"""

import importlib
from typing import NamedTuple

import click


class Entry(NamedTuple):
    module: str
    attribute: str
    help: str


_HERE = "supervisor.cli"


def _family(module: str, **commands: str) -> dict[str, Entry]:
    return {
        name.replace("_", "-"): Entry(f"{_HERE}.{module}", f"{name}_command", text) for name, text in commands.items()
    }


SECTIONS: dict[str, dict[str, Entry]] = {
    "See": {
        **_family("status", status="State of sessions, as columns or --json."),
        **_family("top", top="A live table: CPU, memory, output, restarts."),
        **_family("logs", logs="What sessions wrote: since, until, grep, follow; several interleaved."),
        **_family(
            "tail",
            tail="The end of one session's log: tail [-f|-BYTES] NAME [stdout|stderr].",
            maintail="The end of ringvisord's own log: maintail [-f|-BYTES].",
        ),
        **_family("events", events="What happened, and with -f what happens."),
        **_family("facts", inspect="All there is to know about a session.", explain="Why it is in its present state."),
        **_family("pid", pid="The pid of ringvisord, or of sessions."),
        **_family("verify", verify="Re-read the bytes: do the books balance? Needs no daemon."),
    },
    "Act": {
        **_family("act", start="Start sessions.", stop="Stop sessions.", restart="Stop them, then start them."),
        **_family("run", run="A program from the command line as a session of the fleet."),
        **_family("signalling", signal="Send a signal: signal SIG NAME…"),
        **_family("attach_commands", attach="Your terminal on a session's; C-\\ leaves it."),
        **_family("attach_commands", send="Type into a session.", expect="Wait until a session wrote something."),
        **_family("fg", fg="attach, as supervisorctl calls it."),
        **_family("clear", clear="Empty the logs of sessions."),
        **_family("scale", scale="How many instances: scale NAME=N."),
    },
    "Fleet": {
        **_family("reread", reread="What update would change."),
        **_family("update", update="Apply the fleet file: only what differs."),
        **_family("groups", add="Bring a group of the file into use.", remove="Put a stopped group out of use."),
        **_family("avail", avail="Every session of the fleet file, in use or not."),
        **_family(
            "fleet_orders", reload="Start the supervisor anew; sessions stay.", shutdown="End the fleet in order."
        ),
        **_family("upgrade", upgrade="The installed release takes over from the running one; sessions run on."),
        **_family("version", version="The release of ringvisord that answers."),
        **_family("fleets", fleets="Which fleets run here."),
        **_family(
            "service",
            install_service="Make the fleet a service of systemd.",
            uninstall_service="Take that service away again.",
        ),
        **_family("doctor", doctor="Look at this machine and installation, and say what to change."),
    },
    "Shell": {
        **_family("help", help="This list, or help on one command."),
        **_family("completion", completion="Completion for bash, zsh or fish."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
NOT_THERE_YET = frozenset({"stream", "ask"})


def find_command(name: str) -> click.Command:
    entry = COMMANDS[name]
    command: click.Command = getattr(importlib.import_module(entry.module), entry.attribute)
    return command
